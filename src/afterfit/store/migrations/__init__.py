"""The schema of the records, version by version. What is released is never changed: a change is a new file."""
