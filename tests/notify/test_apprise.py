"""Whatever apprise knows: it takes the message, or fails in words of ours; addresses are secrets and never said."""

import pytest

from retentiond.errors import NotDelivered
from retentiond.notify.apprise import Apprised
from tests.notify.test_webhook import MESSAGE

apprise = pytest.importorskip("apprise", reason="apprise is an extra (pip install 'retentiond[notify]')")

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # apprise tries it first


def refusal(url):
    with pytest.raises(NotDelivered) as caught:
        Apprised(url).send(MESSAGE)
    return caught.value.what


def test_a_message_arrives(web):
    Apprised(f"json://127.0.0.1:{web.port}/swordfish").send(MESSAGE)
    (got,) = web.messages
    assert (got["title"], got["message"].strip()) == (MESSAGE.subject, MESSAGE.text.strip())


def test_what_fails_is_told_without_the_address(web, capfd):
    web.answers = [500]
    assert refusal(f"json://127.0.0.1:{web.port}/swordfish") == "apprise could not deliver"
    said = capfd.readouterr()
    assert "swordfish" not in said.out + said.err


def test_an_address_that_apprise_does_not_know_is_told_without_it(capfd):
    assert refusal("swordfish://there/is/none") == "apprise does not know such an address"
    said = capfd.readouterr()
    assert "swordfish" not in said.out + said.err
