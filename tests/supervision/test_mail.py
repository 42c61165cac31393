"""A child's mailbox survives its crash; what cannot be handled ends as a dead letter."""

from __future__ import annotations

import pytest

from actors.runtime import Directory, Envelope, ExitReason, PooledActor, Undelivered
from supervisor import (
    BackoffPolicy,
    ChildSpec,
    DeadMail,
    Intensity,
    QuarantineChild,
    ResumeChild,
    StartChild,
    StartTemplated,
    Supervisor,
    TerminateChild,
)
from supervisor.messages import BackoffOver
from supervisor.post import Post
from tests.supervision.support import BoomError, Lab, Shot

SLOW = BackoffPolicy(base=1.0)
MANY = Intensity(restarts=100, within=60.0)


def handled(lab: Lab, name: str = "a") -> list:
    """What the child was given to handle, across its incarnations."""
    return [what for what, who in lab.diary if who == name and what not in ("start", "stop")]


def test_messages_behind_the_one_that_crashed_go_on_in_order(lab: Lab):
    lab.supervise(lab.spec("a"))
    shot = Shot()
    for message in (1, shot, 2, 3):
        lab.child("a").tell(message)
    lab.run()
    assert handled(lab) == [1, shot, shot, 2, 3]
    assert lab.dead == []


def test_a_message_that_crashes_its_actor_twice_is_a_dead_letter_and_the_rest_go_on(lab: Lab):
    lab.supervise(lab.spec("a"), intensity=MANY)
    for message in ("boom", 1, "boom", 2):
        lab.child("a").tell(message)
    lab.run()
    assert handled(lab) == ["boom", "boom", 1, "boom", "boom", 2]
    assert [(mail.child_path, mail.message, mail.attempts, mail.reason) for mail in lab.dead] == [
        ("top/a", "boom", 2, "crashed_twice")
    ] * 2
    assert all(isinstance(mail.error, BoomError) for mail in lab.dead)
    assert lab.sup.table.dead_mail == 2


def test_a_message_that_was_only_waiting_is_not_blamed(lab: Lab):
    lab.supervise(lab.spec("a"), intensity=MANY)
    for message in (Shot(), Shot(), Shot(), "innocent"):
        lab.child("a").tell(message)
    lab.run()
    assert handled(lab)[-1] == "innocent"
    assert lab.dead == []


def test_mail_waits_through_restarts_that_fail(lab: Lab):
    lab.supervise(lab.spec("a"), intensity=MANY)
    lab.refuse_start("a", BoomError("1"), BoomError("2"), None)
    for message in (Shot(), "patient"):
        lab.child("a").tell(message)
    lab.run()
    assert handled(lab)[-1] == "patient"


def test_mail_waits_through_constructors_that_fail(lab: Lab):
    fail = iter([False, True, True, False])

    def build():
        if next(fail):
            raise BoomError("constructor")
        return lab.spec("a").start()

    lab.supervise(ChildSpec("a", build), intensity=MANY)
    for message in (Shot(), "patient"):
        lab.child("a").tell(message)
    lab.run()
    assert handled(lab)[-1] == "patient"


def test_bystanders_of_a_group_restart_keep_their_mail(lab: Lab):
    lab.supervise(lab.spec("a"), lab.spec("b"), strategy="one_for_all")
    lab.child("a").tell(Shot())
    lab.runtime.dispatcher.step()
    lab.child("b").tell("kept")
    lab.run()
    assert handled(lab, "b") == ["kept"]


def test_mail_of_a_child_that_is_killed_goes_on_without_blame(lab: Lab):
    lab.supervise(lab.spec("a"))
    lab.child("a").tell("boom-free")
    lab.runtime.kill(lab.child("a"))
    lab.run()
    assert handled(lab) == ["boom-free"]


def test_mail_of_a_child_that_is_not_restarted_is_dead_with_a_reason(lab: Lab):
    lab.supervise(lab.spec("a", restart="transient"))
    lab.child("a").tell("unread")
    lab.runtime.shutdown(lab.child("a"))
    lab.run()
    assert [(mail.message, mail.reason) for mail in lab.dead] == [("unread", "stopped")]


def test_mail_left_at_the_end_of_the_supervisor_is_declared_as_such(lab: Lab):
    lab.supervise(lab.spec("a"), backoff=SLOW)
    lab.child("a").tell(Shot())
    lab.child("a").tell("unread")
    lab.run()
    lab.stop()
    assert {mail.reason for mail in lab.dead} == {"supervisor_down"}
    assert lab.dead[-1].message == "unread"


def test_a_dead_letter_hook_that_fails_does_not_take_the_supervisor_with_it(lab: Lab, caplog):
    def broken(mail: DeadMail) -> None:
        raise OSError("disk full")

    lab.supervise(lab.spec("a"), on_dead_letter=broken, intensity=MANY)
    lab.child("a").tell("boom")
    lab.run()
    assert lab.running() == ["a"]
    assert "disk full" in caplog.text


def test_without_a_hook_dead_letters_are_logged(lab: Lab, caplog):
    lab.supervise(lab.spec("a"), on_dead_letter=None, intensity=MANY)
    lab.child("a").tell("boom")
    lab.run()
    assert "message dropped (crashed_twice): 'boom'" in caplog.text


# Names


@pytest.fixture
def names() -> Directory:
    return Directory()


def test_children_are_published_when_ready_and_withdrawn_when_they_end(lab: Lab, names: Directory):
    lab.supervise(lab.spec("a", late=True), directory=names, backoff=SLOW)
    assert names.get("a") is None
    lab.child("a").tell("ready")
    lab.run()
    assert names.get("a") is lab.child("a")
    lab.crash("a")
    assert names.get("a") is None


def test_messages_for_a_child_that_is_down_reach_it_before_its_ref_is_published(lab: Lab, names: Directory):
    lab.supervise(lab.spec("a"), directory=names, backoff=SLOW)
    names.tell("a", Shot())
    names.tell("a", "queued")
    lab.run()
    published = names.publish
    seen: list[int] = []

    def publish(name, ref):
        seen.append(ref.actor_inbox.depth() + len(handled(lab)))
        published(name, ref)

    names.publish = publish
    names.tell("a", "while down")
    lab.advance(1.0)
    names.tell("a", "after")
    lab.run()
    assert handled(lab)[2:] == ["queued", "while down", "after"]
    assert seen == [4]


def test_what_is_told_directly_does_not_overtake_what_came_by_way_of_the_supervisor(lab: Lab, names: Directory):
    lab.supervise(lab.spec("a"), directory=names)
    lab.child("a").tell(shot := Shot())
    for start in range(0, 500, 50):
        for message in range(start, start + 50):  # more than the supervisor handles in one turn
            names.tell("a", message)
        lab.runtime.dispatcher.step()
    lab.run()

    assert handled(lab) == [shot, shot, *range(500)]
    assert names.get("a") is lab.child("a")


def test_messages_for_a_child_that_is_still_starting_wait_for_it(lab: Lab, names: Directory):
    lab.supervise(lab.spec("a", late=True), lab.spec("b"), directory=names)
    names.tell("b", "early")
    lab.run()
    assert handled(lab, "b") == []
    lab.child("a").tell("ready")
    lab.run()
    assert handled(lab, "b") == ["early"]


def test_a_tell_to_a_dead_ref_comes_back_and_is_delivered_later(lab: Lab, names: Directory):
    lab.supervise(lab.spec("a"), directory=names, backoff=SLOW)
    lab.runtime.kill(lab.child("a"))
    names.tell("a", "late")  # the directory still shows the old ref
    lab.advance(1.0)
    assert handled(lab) == ["late"]


def test_too_much_mail_for_a_child_that_is_down_is_refused_with_a_reason(lab: Lab, names: Directory):
    lab.supervise(lab.spec("a"), directory=names, backoff=SLOW, stash_limit=3)
    lab.child("a").tell(Shot())
    lab.run()
    for number in range(5):
        names.tell("a", number)
    lab.run()
    assert [(mail.message, mail.reason) for mail in lab.dead] == [(2, "overflow"), (3, "overflow"), (4, "overflow")]
    lab.advance(1.0)
    assert handled(lab)[-2:] == [0, 1]


def test_too_much_mail_left_by_a_crash_is_refused_with_a_reason(lab: Lab):
    lab.supervise(lab.spec("a"), stash_limit=2)
    shot = Shot()
    for message in (shot, 1, 2, 3):
        lab.child("a").tell(message)
    lab.run()
    assert handled(lab) == [shot, shot, 1]
    assert [(mail.message, mail.reason) for mail in lab.dead] == [(2, "overflow"), (3, "overflow")]


@pytest.mark.parametrize(("kind", "reason"), [(QuarantineChild, "quarantined"), (TerminateChild, "stopped")])
def test_messages_for_a_child_that_stays_down_are_dead_with_a_reason(lab: Lab, names: Directory, kind, reason):
    lab.supervise(lab.spec("a"), directory=names)
    lab.ask(kind, child_id="a")
    names.tell("a", "knock")
    lab.run()
    assert [(mail.message, mail.reason) for mail in lab.dead] == [("knock", reason)]
    lab.ask(ResumeChild, child_id="a")
    names.tell("a", "hello")
    lab.run()
    assert handled(lab) == ["hello"]


def test_messages_for_a_running_child_that_went_astray_are_delivered(lab: Lab):
    lab.supervise(lab.spec("a"))
    lab.sup.actor_ref.tell(Undelivered("a", "astray"))
    lab.run()
    assert handled(lab) == ["astray"]


@pytest.mark.parametrize("name", ["stranger", None, ["x"], 7])
def test_a_name_that_is_no_child_is_unknown(lab: Lab, name):
    lab.supervise(lab.spec("a"))
    lab.sup.actor_ref.tell(Undelivered(name, "hello"))
    lab.run()
    assert [(mail.message, mail.reason) for mail in lab.dead] == [("hello", "unknown")]


def test_supervisors_that_share_a_directory_each_get_the_mail_of_their_own(lab: Lab, names: Directory):
    inner = lab.settings({"directory": names, "children": [lab.spec("x")], "backoff": SLOW})
    lab.supervise(ChildSpec("sub", lambda: Supervisor(**inner)), lab.spec("a"), directory=names, backoff=SLOW)
    for name in ("a", "x"):
        names.tell(name, Shot())
    lab.run()
    for name in ("a", "x"):
        names.tell(name, f"for {name}")
    lab.advance(1.0)
    assert handled(lab, "a")[-1] == "for a"
    assert handled(lab, "x")[-1] == "for x"


def test_mail_for_a_subtree_that_is_being_restarted_waits_for_it(lab: Lab, names: Directory):
    inner = lab.settings({"directory": names, "children": [lab.spec("x")]})
    lab.supervise(ChildSpec("sub", lambda: Supervisor(**inner)), backoff=SLOW)
    lab.end("sub", "kill")
    names.tell("x", "where are you")
    lab.advance(1.0)
    assert handled(lab, "x") == ["where are you"]


def test_mail_for_names_that_never_come_is_bounded_and_counted(lab: Lab, names: Directory):
    lab.supervise(lab.spec("a"), directory=names)
    for number in range(1_005):
        names.tell("stranger", number)
    assert names.undelivered == 5
    lab.ask(StartChild, spec=ChildSpec("sub", lambda: Supervisor(runtime=lab.runtime, directory=names)))
    assert lab.exit is None


def test_a_fallback_that_somebody_has_set_is_left_alone(lab: Lab, names: Directory):
    taken = []
    names.fallback = lambda name, message: taken.append((name, message))
    lab.supervise(lab.spec("a"), directory=names, backoff=SLOW)
    lab.crash("a")
    names.tell("a", "hello")
    assert taken == [("a", "hello")]


# Dynamic children


def test_a_dynamic_supervisor_can_start_a_child_for_an_unknown_name(lab: Lab, names: Directory):
    class Welcoming(type(lab.dynamic())):
        def on_unknown(self, name, message):
            self.adopt(name, messages=[message])

    template = ChildSpec("w", lambda name: lab.spec(name).start())
    lab.launch(Welcoming(**lab.settings({"template": template, "directory": names})))
    names.tell("new", 1)
    names.tell("new", 2)
    lab.run()
    names.tell("new", 3)
    lab.run()
    assert handled(lab, "new") == [1, 2, 3]


def test_a_child_that_is_dropped_is_gone_with_its_mail(lab: Lab, names: Directory):
    sup = lab.supervise_dynamic(directory=names)
    ref = lab.ask(StartTemplated, child_id="a")
    ref.tell("unread")
    assert sup.drop("a")
    assert not sup.drop("a")
    lab.run()
    assert not ref.is_alive()
    assert names.get("a") is None
    assert lab.counts() == [0, 0, 0, 0]
    assert handled(lab) == []


def test_requests_to_a_supervisor_survive_its_own_restart(lab: Lab):
    subs = []

    def build():
        subs.append(lab.dynamic())
        return subs[-1]

    lab.supervise(ChildSpec("sub", build))
    subs[0].actor_ref.tell(StartTemplated(child_id="wanted"))
    lab.runtime.kill(lab.child("sub"))
    lab.run()
    assert lab.running(subs[1]) == ["wanted"]


def test_a_message_in_the_hands_of_a_hung_child_is_blamed(lab: Lab):
    class Hanging(PooledActor):
        def on_receive(self, message):
            self.actor_inbox.end(ExitReason.HUNG)  # what the watchdog does from outside

    lab.supervise(ChildSpec("a", Hanging))
    lab.child("a").tell("endless")
    lab.run()
    assert lab.state("a") == "quarantined"
    assert [(mail.message, mail.attempts, mail.reason) for mail in lab.dead] == [("endless", 1, "quarantined")]


def test_what_came_since_a_death_goes_behind_what_was_left_by_it():
    post = Post(10, lambda *_: None)
    post.stash("a", "came since")
    post.keep("a", [Envelope("left")], None)
    assert [envelope.message for envelope in post.take("a")] == ["left", "came since"]
    assert len(post) == 0


def test_news_of_a_supervisors_own_children_is_no_mail(lab: Lab):
    inner = lab.settings({"children": [lab.spec("x")]})
    lab.supervise(ChildSpec("sub", lambda: Supervisor(**inner), restart="temporary"))
    lab.child("sub").tell(BackoffOver("x", 1))
    lab.child("sub").tell("mail")
    lab.end("sub", "kill")
    assert [mail.message for mail in lab.dead] == ["mail"]
