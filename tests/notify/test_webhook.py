"""A webhook gets one POST with JSON; only 2xx is a yes, and nothing of what it says is repeated."""

import hashlib
import hmac
import json

import pytest

from retentiond.core.alarm import Alarm, News
from retentiond.errors import NotDelivered
from retentiond.notify.message import compose
from retentiond.notify.webhook import Webhook
from tests.acceptance.shop import NOW
from tests.notify.sinks import HANG, WebSink

MESSAGE = compose(
    "Corner Shop Ltd", [News("new", 5, Alarm("overdue", "post", 4, 3, {"overdue": 3}, "retentiond plan post"))], NOW
)
PATIENT = 30.0


def refusal(way):
    with pytest.raises(NotDelivered) as caught:
        way.send(MESSAGE)
    return str(caught.value.problems[0])


def test_a_message_arrives_whole(web):
    Webhook(web.url, PATIENT, {"Authorization": "Bearer x"}).send(MESSAGE)
    assert web.messages == [json.loads(json.dumps(dict(MESSAGE.value)))]
    assert web.paths == ["/hook?token=swordfish"]
    assert web.headers[0]["Authorization"] == "Bearer x"
    assert web.headers[0]["Content-Type"] == "application/json"
    assert web.headers[0]["User-Agent"] == "retentiond"


def test_a_body_is_signed_with_the_shared_secret(web):
    Webhook(web.url, PATIENT, secret="shared").send(MESSAGE)
    ((body, _),) = web.bodies
    assert web.headers[0]["Retentiond-Signature"] == "sha256=" + hmac.new(b"shared", body, hashlib.sha256).hexdigest()


@pytest.mark.parametrize("code", [400, 401, 403, 404, 429, 500, 503])
def test_any_other_answer_than_2xx_is_a_no(web, code):
    web.answers = [code]
    assert refusal(Webhook(web.url, PATIENT)).startswith(f"the address answered {code}")


@pytest.mark.parametrize("code", [200, 201, 202, 204])
def test_2xx_is_a_yes(web, code):
    web.answers = [code]
    Webhook(web.url, PATIENT).send(MESSAGE)
    assert len(web.messages) == 1


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_nothing_is_followed_elsewhere(web, sinks, code):
    elsewhere = sinks(WebSink)
    web.answers, web.away = [code], elsewhere.url
    assert refusal(Webhook(web.url, PATIENT, {"Authorization": "x"})).startswith(
        f"the address answered {code}; it leads elsewhere"
    )
    assert elsewhere.paths == []


def test_a_server_that_hangs_holds_nobody_up(web):
    web.answers = [HANG]
    assert refusal(Webhook(web.url, 0.2)) == "the address did not answer in time"


def test_a_server_that_is_not_there_is_told_as_such(nobody):
    assert refusal(Webhook(f"http://127.0.0.1:{nobody}/swordfish", PATIENT)) == "the address refuses connections"


def test_a_host_that_there_is_not_is_told_without_its_name():
    assert "swordfish" not in refusal(Webhook("https://swordfish.invalid/", PATIENT))


def test_a_certificate_is_verified(sinks, trusted):
    sink = sinks(WebSink, tls=trusted)
    Webhook(f"https://127.0.0.1:{sink.port}/", PATIENT).send(MESSAGE)
    assert len(sink.messages) == 1


def test_a_certificate_that_nobody_vouches_for_is_refused(sinks, stranger):
    sink = sinks(WebSink, tls=stranger)
    assert refusal(Webhook(f"https://127.0.0.1:{sink.port}/", PATIENT)).startswith(
        "the certificate of the address is not trusted"
    )
    assert sink.bodies == []


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x", "//127.0.0.1/x"])
def test_nothing_but_the_web_is_opened(url):
    assert refusal(Webhook(url, PATIENT)) == "the address cannot be reached"


@pytest.mark.parametrize("value", ["a\r\nX-Other: b", "a\n", "ü", " a", ""])
def test_a_header_that_would_be_two_is_not_sent(web, value):
    assert refusal(Webhook(web.url, PATIENT, {"X-Token": value})).startswith("a header cannot be sent")
    assert web.bodies == []
