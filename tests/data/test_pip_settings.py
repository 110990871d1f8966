"""pip's own settings decide where a file is looked for: its files, their sections, and the environment on top."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from embfact.data.pip_settings import PYPI, PipSettings, read_pip_settings

CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., PipSettings]:
    """What is read with this configuration file and this environment, and nothing else of this machine's."""
    for name in [name for name in os.environ if name.startswith("PIP_") or name in CERTIFICATES]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)

    def read(text: str = "", **environment: str) -> PipSettings:
        if text:
            (tmp_path / "pip.conf").write_text(text)
            monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return read_pip_settings()

    return read


def test_without_any_it_is_pypi(settings: Callable[..., PipSettings]) -> None:
    assert settings() == PipSettings()
    assert PipSettings().indexes == (PYPI,)


FILE = """
[global]
index-url = https://me:se=cret@index.example/simple
extra-index-url =
    https://one.example/simple
    file:///two/simple
find-links = /wheels
cert = /global.pem
trusted-host = index.example
[install]
cert = /install.pem
proxy = http://proxy.example:3128
[list]
find-links = /not/these
"""


def test_a_file_is_read_as_pip_install_reads_it_and_the_environment_goes_before(
    settings: Callable[..., PipSettings],
) -> None:
    found = settings(FILE)
    assert found.indexes == (
        "https://me:se=cret@index.example/simple",
        "https://one.example/simple",
        "file:///two/simple",
    )
    assert found.find_links == ("/wheels",)
    assert (found.certificates, found.proxy) == ("/install.pem", "http://proxy.example:3128")
    assert found.trusts("https://me@index.example/simple")
    assert not found.trusts("https://one.example/simple")
    changed = settings(FILE, PIP_INDEX_URL="https://other.example/simple", PIP_FIND_LINKS="/a /b", PIP_CERT="/env.pem")
    assert changed.indexes == ("https://other.example/simple", *found.indexes[1:])
    assert changed.find_links == ("/a", "/b")
    assert changed.certificates == "/env.pem"


def test_no_index_leaves_the_links_alone(settings: Callable[..., PipSettings]) -> None:
    found = settings(FILE, PIP_NO_INDEX="1", PIP_TRUSTED_HOST="a.example b.example:8080")
    assert (found.indexes, found.find_links) == ((), ("/wheels",))
    assert found.trusts("https://b.example:8080/x")
    assert not found.trusts("https://b.example/x")


def test_authorities_of_the_environment_hold_where_pip_names_none(
    settings: Callable[..., PipSettings],
) -> None:
    assert settings(SSL_CERT_FILE="/ssl.pem").certificates == "/ssl.pem"
    assert settings(CURL_CA_BUNDLE="/curl.pem").certificates == "/curl.pem"


def test_without_a_pip_the_environment_decides(
    settings: Callable[..., PipSettings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho No module named pip >&2\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    found = settings(PIP_INDEX_URL="https://index.example/simple", PIP_EXTRA_INDEX_URL="https://one.example/simple")
    assert found == PipSettings(indexes=("https://index.example/simple", "https://one.example/simple"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "absent"))
    assert settings(PIP_NO_INDEX="true").indexes == ()
