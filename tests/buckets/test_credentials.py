"""What requests are signed with, and which server is asked: what was given counts before the environment."""

import pickle
from contextlib import suppress

import pytest
from tests.buckets.conftest import SECRET
from tests.buckets.test_merging import painted

from wkfast.buckets import ObjectPath
from wkfast.errors import ObjectStoreError

# Nobody listens there.
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def there(bucket):
    bucket.client.put_object(Bucket=bucket.name, Key="a", Body=b"text")
    return bucket


def profile(path, monkeypatch, **values):
    lines = "".join(f"{name} = {value}\n" for name, value in values.items())
    path.write_text(f"[lab]\n{lines}")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"])
def test_a_server_that_is_given_counts_before_that_of_the_environment(there, monkeypatch, name):
    monkeypatch.setenv(name, NOWHERE)
    assert ObjectPath(f"s3://{there.name}/a", there.options).read(9) == b"text"


@pytest.mark.servers("s3s")
def test_a_profile_that_is_given_counts_before_the_environment(there, monkeypatch, tmp_path):
    keys = {"aws_access_key_id": "tester", "aws_secret_access_key": SECRET, "region": "us-east-1"}
    profile(tmp_path / "credentials", monkeypatch, endpoint_url=there.endpoint, **keys)
    for name, value in {"ACCESS_KEY_ID": "other", "SECRET_ACCESS_KEY": "wrong", "SESSION_TOKEN": "old"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", NOWHERE)
    assert ObjectPath(f"s3://{there.name}/a", {"profile": "lab"}).read(9) == b"text"


def test_a_profile_that_is_not_there_is_named(there, monkeypatch, tmp_path):
    profile(tmp_path / "credentials", monkeypatch, region="us-east-1")
    for options in ({"profile": "absent"}, {"profile": "lab"}):
        with pytest.raises(ObjectStoreError, match=f"{options['profile']}.*credentials"):
            ObjectPath(f"s3://{there.name}/a", {"endpoint_url": there.endpoint, **options}).read(9)
    monkeypatch.setenv("AWS_PROFILE", "unknown")
    with pytest.raises(ObjectStoreError, match=r"unknown.*credentials"):
        ObjectPath(f"s3://{there.name}/a", {"endpoint_url": there.endpoint}).read(9)
    # Nothing of it is wanted.
    assert ObjectPath(f"s3://{there.name}/a", there.options).read(9) == b"text"


@pytest.mark.parametrize("server", ["127.0.0.1:9000", "http://a b", " http://127.0.0.1:9", "http://"])
def test_a_server_that_is_no_address_is_an_error_wherever_it_is_from(there, monkeypatch, tmp_path, server):
    with monkeypatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", server)
        with pytest.raises(ObjectStoreError, match=r"aws_endpoint_url is .*begins with http"):
            ObjectPath("s3://bucket/a").read(9)
    if server.strip() == server:
        keys = {"aws_access_key_id": "tester", "aws_secret_access_key": SECRET}
        profile(tmp_path / "credentials", monkeypatch, endpoint_url=server, **keys)
        with pytest.raises(ObjectStoreError, match=r"aws_endpoint_url is .*begins with http"):
            ObjectPath("s3://bucket/a", {"profile": "lab"}).read(9)


@pytest.mark.parametrize(
    ("name", "value"),
    [("key", "tester\n"), ("key", "test er"), ("token", "a\nb"), ("token", "ü"), ("region_name", "eu\n")],
)
def test_values_that_no_request_takes_are_errors_that_do_not_tell_them(there, name, value):
    with pytest.raises(ObjectStoreError) as told:
        ObjectPath(f"s3://{there.name}/a", there.options | {name: value}).read(9)
    assert value not in str(told.value)


def test_a_secret_that_is_missing_is_an_error_of_the_server(there):
    options = {name: value for name, value in there.options.items() if name != "secret"}
    with pytest.raises(ObjectStoreError, match="cannot be reached"):
        ObjectPath(f"s3://{there.name}/a", options).read(9)


@pytest.mark.servers("s3s")
def test_credentials_that_are_mended_serve_folders_that_are_open(there, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", there.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tester")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "expired")
    path = ObjectPath(f"s3://{there.name}/a")
    with suppress(ObjectStoreError):  # moto's server takes any signature
        path.read(9)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    assert path.read(9) == b"text"


def test_anonymous_is_said_of_those_alone_who_are(there, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tester")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    for value, said in ((False, "signed by AWS_ACCESS_KEY_ID"), (True, "signed by nothing: they are anonymous")):
        options = {"endpoint_url": there.endpoint, "aws_skip_signature": value}
        with pytest.raises(ObjectStoreError, match=said):
            ObjectPath("s3://no-such-bucket/folder", options).write_if(b"")


def test_passwords_of_servers_are_in_no_plan(there, tmp_path):
    hush = there.endpoint.replace("://", "://me:hush-hush@")
    options = there.options | {"endpoint_url": hush, "aws_proxy_excludes": "127.0.0.1", "aws_proxy_url": f"{NOWHERE}/"}
    options["aws_proxy_url"] = options["aws_proxy_url"].replace("://", "://me:hush-hush@")
    annotation = painted(tmp_path)
    target = ObjectPath(f"s3://{there.name}/merged", options)
    plan = annotation.plan_merge(target, tmp_path).to_json()
    assert "hush-hush" not in plan
    assert there.endpoint in plan  # where it is, is written
    assert "hush-hush" not in repr(target)
    assert pickle.loads(pickle.dumps(target)).storage_options == options
