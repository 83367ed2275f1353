"""`afterfit adopt`."""

from __future__ import annotations

from pathlib import Path

import click

from afterfit.cli._terminal import echo_json, printable, progress_bar, shows_progress

_FILE = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)


@click.command(
    epilog="""\b
Examples:
  afterfit adopt model.joblib --rows sample.csv --target species -o iris.afit
  afterfit adopt model.joblib --scaler scaler.pkl --target-scaler y.pkl --rows sample.csv -o price.afit
  afterfit adopt model.json --weights model.weights.h5 --scaler scaler.pkl --rows sample.parquet -o net.afit
  afterfit adopt booster.ubj --rows sample.csv -o booster.afit
  afterfit adopt model.onnx --rows sample.csv --target price -o model.afit
  afterfit adopt model.pkl --trust my_package --rows sample.csv -o model.afit"""
)
@click.argument("model", type=_FILE)
@click.option(
    "--rows", type=_FILE, required=True, help="A sample of raw rows: CSV, Parquet, Arrow or JSON lines."
)
@click.option("--target", metavar="COLUMN", help="The column of the sample that holds the targets.")
@click.option(
    "--scaler",
    "scalers",
    type=_FILE,
    multiple=True,
    help="A fitted transformer that was applied before the model; repeat it in their order.",
)
@click.option("--target-scaler", type=_FILE, help="The fitted scaler of the target.")
@click.option("--weights", type=_FILE, help="The weights that belong to a Keras model.json.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The bundle to write.",
)
@click.option(
    "--trust",
    "trusted",
    metavar="MODULE",
    multiple=True,
    help="Also allow what a pickle asks for of this module. It may run what is in it.",
)
@click.option(
    "--allow-version-change",
    is_flag=True,
    help="Take a pickle made with another version of scikit-learn as the installed one reads it.",
)
@click.option(
    "--raw-inputs", is_flag=True, help="The sample is raw, and the model was fitted on rows like it."
)
@click.option("--name", help="What the model is called; by default the name of the bundle.")
@click.option("--description", help="What it is, in a sentence.")
@click.option(
    "--time-limit", type=click.IntRange(1), default=900, show_default=True, help="Seconds it may take."
)
@click.option("--json", "as_json", is_flag=True, help="Print what was adopted as JSON.")
def adopt(
    model: Path,
    rows: Path,
    target: str | None,
    scalers: tuple[Path, ...],
    target_scaler: Path | None,
    weights: Path | None,
    output: Path,
    trusted: tuple[str, ...],
    allow_version_change: bool,
    raw_inputs: bool,
    name: str | None,
    description: str | None,
    time_limit: int,
    as_json: bool,
) -> None:
    """Save the model in the file MODEL, of another library, as a bundle, and prove that it answers the same.

    MODEL is a .joblib or .pkl of scikit-learn, a Keras .keras, .h5 or model.json, an XGBoost .json or .ubj, a LightGBM
    .txt, a CatBoost .cbm or .json, or a bare .onnx. It is opened in a process of its own; a pickle may
    make nothing but the objects that models of scikit-learn, NumPy, SciPy and pandas are made of.
    """
    from afterfit.capture import adopt as adopt_files
    from afterfit.cli._inspect import parity_in_words

    notes: list[str] = []
    with progress_bar(f"adopting {model.name}", shown=shows_progress() and not as_json):
        adopted = adopt_files(
            model,
            output,
            rows=rows,
            target=target,
            preprocess=scalers,
            postprocess=target_scaler,
            weights=weights,
            trust=trusted,
            allow_version_change=allow_version_change,
            raw_inputs=raw_inputs,
            name=name,
            description=description,
            time_limit=time_limit,
            note=notes.append,
        )
    if as_json:
        import msgspec

        echo_json(
            {
                "path": str(output),
                "name": adopted.name,
                "version": adopted.version,
                "framework": msgspec.to_builtins(adopted.manifest.framework),
                "parity": msgspec.to_builtins(adopted.manifest.parity),
                "notes": notes,
            }
        )
        return
    for text in notes:
        click.echo(f"Note: {printable(text)}")
    click.echo(f"{printable(adopted.name)} {adopted.version} is in {output}")
    click.echo(parity_in_words(adopted.manifest.parity))
