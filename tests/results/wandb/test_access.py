"""A key is found where ``wandb login`` leaves it."""

from __future__ import annotations

from pathlib import Path

import pytest

from embfact.results.wandb.access import has_key

OWN = "https://wandb.example.org"


@pytest.fixture
def home(no_key: None, tmp_path: Path) -> Path:
    return tmp_path


@pytest.mark.parametrize("name", ["WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE"])
def test_a_key_may_be_in_the_environment(name: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not has_key()
    monkeypatch.setenv(name, "x")
    assert has_key()


@pytest.mark.parametrize(
    ("machine", "server", "found"),
    [
        ("api.wandb.ai", None, True),
        ("api.forge.coreweave.com", None, True),
        ("github.com", None, False),
        ("wandb.example.org", OWN, True),
        ("api.wandb.ai", OWN, False),
    ],
)
def test_a_key_may_be_stored_for_the_server(
    machine: str, server: str | None, found: bool, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / ".netrc").write_text(f"machine {machine}\n  login user\n  password {'0' * 40}\n")
    if server:
        monkeypatch.setenv("WANDB_BASE_URL", server)
    assert has_key() == found


def test_a_key_that_wandb_itself_stores_is_found(home: Path) -> None:
    from wandb.sdk.lib.wbauth.wbnetrc import write_netrc_auth
    from wandb.sdk.wandb_settings import Settings

    write_netrc_auth(host=Settings().base_url, api_key="0" * 40)
    assert has_key()


@pytest.mark.parametrize("content", [b"machine", b"\xff\xfe wandb", b""])
def test_a_damaged_file_holds_no_key(content: bytes, home: Path) -> None:
    (home / ".netrc").write_bytes(content)
    assert not has_key()
