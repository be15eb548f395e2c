"""Which server is spoken to, as whom: environment, login, blocks and decorators."""

import asyncio
import copy
import io
import pickle
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.client.conftest import TOKEN

from wkfast.client import Context, Secret, current_context, errors, login, webknossos_context
from wkfast.client.context import parse_dotenv, read_dotenv


def test_without_any_setting_the_public_server_is_asked_anonymously():
    assert current_context() == Context("https://webknossos.org", None, 1800.0, None)


def test_the_environment_sets_the_default(monkeypatch):
    monkeypatch.setenv("WK_URL", "https://wk.example.org/")
    monkeypatch.setenv("WK_TOKEN", TOKEN)
    monkeypatch.setenv("WK_TIMEOUT", "60")
    assert current_context() == Context("https://wk.example.org", Secret(TOKEN), 60.0)


def test_the_environment_is_read_at_first_use_and_wins_over_dotenv(monkeypatch):
    Path(".env").write_text(f"WK_URL='https://file.example.org'\nexport WK_TOKEN={TOKEN}\nWK_TIMEOUT=5 # s\n")
    monkeypatch.setenv("WK_URL", "https://env.example.org")
    assert current_context() == Context("https://env.example.org", Secret(TOKEN), 5.0)
    monkeypatch.setenv("WK_URL", "https://later.example.org")
    assert current_context().url == "https://env.example.org"


@pytest.mark.parametrize(
    ("name", "value"),
    [("WK_TIMEOUT", "soon"), ("WK_TIMEOUT", "-1"), ("WK_TIMEOUT", "nan"), ("WK_URL", "wk.example.org")],
)
def test_an_unusable_setting_is_a_clear_error(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(errors.ConfigurationError, match=r"URL of a server|number of seconds"):
        current_context()


@pytest.mark.parametrize("token", ["", "  ", "two words", "line\nbreak", "naïve", "nul\0"])
def test_a_token_that_cannot_be_a_header_is_refused_without_showing_it(token):
    with pytest.raises(errors.ConfigurationError) as caught:
        Secret(token)
    assert not token.strip() or token not in str(caught.value)


def test_a_block_inherits_url_and_timeout_but_not_the_token():
    with webknossos_context("https://a.example.org", TOKEN, 10, 13):
        with webknossos_context(timeout=20) as inner:
            assert inner == Context("https://a.example.org", None, 20.0, 13)
        with webknossos_context("https://b.example.org") as inner:
            assert inner == Context("https://b.example.org", None, 10.0, None)
        assert current_context().token == Secret(TOKEN)
    assert current_context().url == "https://webknossos.org"


def test_a_block_is_left_when_it_fails():
    with pytest.raises(KeyError), webknossos_context("https://a.example.org"):
        raise KeyError
    assert current_context().url == "https://webknossos.org"


def test_one_block_may_be_entered_within_itself():
    block = webknossos_context("https://a.example.org")
    with block, webknossos_context("https://b.example.org"), block:
        assert current_context().url == "https://a.example.org"
    assert current_context().url == "https://webknossos.org"


def test_a_decorated_function_runs_in_its_context():
    @webknossos_context("https://a.example.org", TOKEN)
    def where(suffix: str) -> str:
        """Say where."""
        return current_context().url + suffix

    assert where("/x") == "https://a.example.org/x"
    assert (where.__name__, where.__doc__) == ("where", "Say where.")
    assert current_context().url == "https://webknossos.org"


def test_decorated_coroutines_do_not_mix():
    async def where(url: str) -> str:
        @webknossos_context(url)
        async def inner() -> str:
            await asyncio.sleep(0.01)
            return current_context().url

        return await inner()

    async def both() -> list[str]:
        return await asyncio.gather(where("https://a.example.org"), where("https://b.example.org"))

    assert asyncio.run(both()) == ["https://a.example.org", "https://b.example.org"]


def test_threads_start_with_the_default_and_share_a_block_object():
    block, seen = webknossos_context("https://a.example.org"), []

    def work() -> None:
        seen.append(current_context().url)
        with block:
            seen.append(current_context().url)

    with block:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert current_context().url == "https://a.example.org"
    assert sorted(seen) == ["https://a.example.org"] * 4 + ["https://webknossos.org"] * 4


def test_login_replaces_the_default(monkeypatch):
    login(url="https://a.example.org/", token=TOKEN, timeout=7)
    assert current_context() == Context("https://a.example.org", Secret(TOKEN), 7.0)
    login(token="other")
    assert current_context() == Context("https://a.example.org", Secret("other"), 7.0)


def test_login_without_token_asks_on_a_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stdin", type("Terminal", (io.StringIO,), {"isatty": lambda _: True})())
    monkeypatch.setattr("getpass.getpass", lambda prompt: f" {TOKEN}\n" if "/account/token" in prompt else "")
    login()
    assert current_context().token == Secret(TOKEN)


@pytest.mark.parametrize("stdin", [io.StringIO("x\n"), None])
def test_login_without_token_and_terminal_raises(monkeypatch, stdin):
    monkeypatch.setattr(sys, "stdin", stdin)
    with pytest.raises(errors.AuthenticationError, match="WK_TOKEN"):
        login()


def test_a_slash_at_the_end_makes_no_other_server():
    assert Context("https://WK.example.org:443//") == Context("https://wk.example.org")


def test_tokens_are_not_shown_and_not_pickled(monkeypatch):
    context = Context("https://a.example.org", Secret(TOKEN))
    assert TOKEN not in repr(context) + str(context) + f"{context.token}{context.token!r}"
    assert TOKEN.encode() not in pickle.dumps(context)
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(context.token)
    assert copy.replace(context) == context if sys.version_info >= (3, 13) else True


@pytest.mark.parametrize(("url", "token"), [("https://a.example.org", TOKEN), ("https://b.example.org", None)])
def test_a_context_in_a_worker_takes_the_token_of_its_environment_if_the_server_is_the_same(monkeypatch, url, token):
    sent = pickle.dumps(Context("https://a.example.org", Secret("the parent's"[4:10])))
    monkeypatch.setenv("WK_URL", url)
    monkeypatch.setenv("WK_TOKEN", TOKEN)
    arrived = pickle.loads(sent)
    assert arrived.url == "https://a.example.org"
    assert arrived.token == (None if token is None else Secret(token))
    anonymous = pickle.loads(pickle.dumps(Context("https://a.example.org")))
    assert anonymous.token is None


def test_every_error_survives_a_pickle():
    for name in errors.__all__:
        error = getattr(errors, name)("said", status=500, messages=("a",), retry_after=1.0, sent=False)
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), again.__dict__) == (type(error), "said", error.__dict__)
        assert isinstance(again, RuntimeError)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("A=1", {"A": "1"}),
        ("export A = 'b c' # d", {"A": "b c"}),
        ('A="b\\n\\"c\\" #d" # e', {"A": 'b\n"c" #d'}),
        ("A=b#c\nA=d #e", {"A": "d"}),
        ("A=#c", {"A": ""}),
        ("# A=1\n\nno assignment\n1A=2", {}),
        ("A=1\r\nB='unclosed\r\n", {"A": "1", "B": "'unclosed"}),
    ],
)
def test_dotenv_lines(text, values):
    assert parse_dotenv(text) == values


@given(st.dictionaries(st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True), st.text("abc 'x#=$\\", max_size=20)))
def test_quoted_dotenv_values_come_back(values):
    escaped = {key: value.replace("\\", "\\\\").replace('"', '\\"') for key, value in values.items()}
    assert parse_dotenv("\n".join(f'{key}="{value}"' for key, value in escaped.items())) == values


def test_a_dotenv_that_is_a_folder_is_no_dotenv():
    Path(".env").mkdir()
    assert read_dotenv(Path(".env")) == {}


@pytest.mark.parametrize("timeout", ["x", "60", [], 0, -1, float("nan"), float("inf")])
def test_a_timeout_that_is_none_is_a_bad_setting(timeout):
    with pytest.raises(errors.ConfigurationError, match="a positive number of seconds"):
        Context(timeout=timeout)
    if timeout != "60":  # the text of a number was always taken there
        with pytest.raises(errors.ConfigurationError, match="a positive number"), webknossos_context(timeout=timeout):
            pass
        with pytest.raises(errors.ConfigurationError, match="a positive number of seconds"):
            login(token=TOKEN, timeout=timeout)
