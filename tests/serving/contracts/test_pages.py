"""What the server answers to a browser, looked at without one; tests/web looks with one."""

from __future__ import annotations

import re

import pytest

from afterfit.serving.contracts._pages import WEB, page_routes

HTML = (b"accept", b"text/html,application/xhtml+xml,*/*;q=0.8")


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_names_files_of_this_server_alone_and_lets_nothing_else_run(ask, toy_app, path):
    reply = ask(toy_app, path, None, HTML)
    assert reply.status == 200
    assert reply.headers[b"content-type"] == b"text/html; charset=utf-8"
    assert reply.headers[b"cache-control"] == b"no-cache"
    html = reply.body.decode()
    assert not re.search(r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=|javascript:", html)
    routes = {route.path for route in page_routes()}
    links = re.findall(r"""(?:src|href)="([^"#]+)\"""", html)
    assert links
    for link in links:
        assert "//" not in link
        assert f"/{link.removeprefix('./')}" in routes | {"/openapi.json"}
    policy = dict(
        part.split(" ", 1) for part in reply.headers[b"content-security-policy"].decode().split("; ")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"


def test_files_are_kept_for_good_under_a_name_that_changes_with_them(ask, toy_app):
    files = [route.path for route in page_routes() if route.path.startswith("/static/")]
    assert {path.rsplit("/", 1)[0] for path in files} == {files[0].rsplit("/", 1)[0]}
    kinds = {
        ".js": b"text/javascript; charset=utf-8",
        ".css": b"text/css; charset=utf-8",
        ".svg": b"image/svg+xml",
    }
    for path in files:
        if "swagger" in path:
            continue
        reply = ask(toy_app, path, None)
        assert reply.status == 200
        assert reply.headers[b"content-type"] == kinds[path[path.rindex(".") :]]
        assert reply.headers[b"cache-control"] == b"public, max-age=31536000, immutable"
        assert reply.body == (WEB / "static" / path.rsplit("/", 1)[1]).read_bytes()
    assert ask(toy_app, "/static/0123456789abcdef/page.js", None).status == 404
    assert ask(toy_app, files[0] + "/../../index.html", None).status == 404


def test_pages_are_open_to_everyone_and_nothing_else_of_them_is(toy_app):
    assert {route.access for route in page_routes()} == {"public"}
    assert {route.method for route in page_routes()} == {"GET"}


def test_no_script_of_ours_makes_markup_from_text():
    for path in (WEB / "static").glob("*.js"):
        source = path.read_text(encoding="utf-8")
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser|https?://(?!www\.w3\.org/2000/svg)",
            source,
        ), path.name


def test_what_lies_beside_swagger_ui_says_whose_it_is():
    assert "Apache License" in (WEB / "swagger-ui" / "LICENSE").read_text(encoding="utf-8")
    assert "SmartBear" in (WEB / "swagger-ui" / "NOTICE").read_text(encoding="utf-8")
