"""The arithmetic of the benchmark: ratios, verdicts, and what is read from other programs. Starts no server."""

from __future__ import annotations

import json
import unittest
from collections.abc import Mapping
from pathlib import Path

import load
import preload
import report
import scenarios
import syscalls
from load import Times
from measure import Measurement
from processes import Memory
from results import Ratio, Results, cpu
from scenarios import SCENARIOS, Group, Scenario
from servers import SERVERS, Launch
from targets import judge
from verdicts import Verdict


def measurement(cpu_us: float, errors: str = "", rate: float = 1000.0, **times: tuple[float, float]) -> Measurement:
    """`times`: p99 and the slowest, in milliseconds, by kind."""
    seen = {kind: Times(100, 1.0, *pair) for kind, pair in {"all": (2.0, 3.0), **times}.items()}
    return Measurement(cpu_us, rate, seen, Memory(4000, (8000,)), errors, 0.0)


def results(**rounds: list[float]) -> Results:
    """Results of the hello scenario: CPU by server, one figure a round."""
    made = Results()
    for server, figures in rounds.items():
        for number, figure in enumerate(figures):
            made.add("hello", server, number, measurement(figure))
    return made


def ratio(made: Results) -> Ratio:
    """Monoceros to bjoern, which must exist."""
    found = made.ratio("hello", "monoceros", "bjoern", cpu)
    assert found is not None
    return found


def verdict(made: Results, word: str) -> Verdict:
    return next(one for one in judge(made) if word in one.target)


class Ratios(unittest.TestCase):
    def test_compares_within_rounds_not_medians(self) -> None:
        # The machine is twice as slow in the second round: the quotient must not notice.
        found = ratio(results(monoceros=[10, 20, 30], bjoern=[20, 40, 20]))
        self.assertEqual((found.median, found.least, found.most), (0.5, 0.5, 1.5))

    def test_leaves_out_rounds_that_one_side_lacks(self) -> None:
        found = ratio(results(monoceros=[10, 99], bjoern=[20]))
        self.assertEqual((found.median, found.most), (0.5, 0.5))

    def test_a_row_with_errors_proves_nothing(self) -> None:
        made = results(monoceros=[10, 10], bjoern=[20])
        made.add("hello", "bjoern", 1, measurement(1, errors="3 read"))
        self.assertIsNone(made.ratio("hello", "monoceros", "bjoern", cpu))


class Verdicts(unittest.TestCase):
    def test_limits_include_their_value(self) -> None:
        self.assertTrue(verdict(results(monoceros=[90], fastwsgi=[100]), "fastwsgi").met)
        self.assertFalse(verdict(results(monoceros=[91], fastwsgi=[100]), "fastwsgi").met)

    def test_names_the_peer_that_is_ahead(self) -> None:
        ahead = verdict(results(monoceros=[10], uwsgi=[9]), "ahead")
        self.assertFalse(ahead.met)
        self.assertEqual("ahead: uwsgi CPU 1.11 (1.11-1.11)", ahead.reached)

    def test_what_is_within_the_noise_is_level(self) -> None:
        level = verdict(results(monoceros=[10], uwsgi=[9.4], bjoern=[10.7], granian=[20]), "ahead")
        self.assertTrue(level.met)
        self.assertEqual("level: uwsgi CPU 1.06 (1.06-1.06), bjoern CPU 0.93 (0.93-0.93)", level.reached)

    def test_one_round_decides_nothing(self) -> None:
        # Of four rounds two are far ahead and two are not: the median is above the noise, most rounds are not.
        divided = verdict(results(monoceros=[10, 10, 10, 10], uwsgi=[5, 5, 10, 10]), "ahead")
        self.assertTrue(divided.met)
        self.assertIn("level: uwsgi", divided.reached)
        self.assertFalse(verdict(results(monoceros=[10, 10, 10], uwsgi=[5, 5, 10]), "ahead").met)

    def test_the_floor_is_no_peer(self) -> None:
        self.assertTrue(verdict(results(monoceros=[10], floor=[9], uwsgi=[11]), "ahead").met)

    def test_what_was_not_measured_is_not_met(self) -> None:
        self.assertEqual({one.met for one in judge(Results())}, {None})

    def test_counts_every_other_system_call(self) -> None:
        made = results(monoceros=[10])
        made.syscalls["monoceros"] = {"recvfrom": 1.0, "sendto": 1.0, "epoll_wait": 0.06, "futex": 0.05}
        self.assertFalse(verdict(made, "all others").met)
        self.assertTrue(verdict(made, "one recvfrom").met)


def one(name: str) -> Scenario:
    return next(scenario for scenario in SCENARIOS if scenario.name == name)


def fair(scenario: str, servers: Mapping[str, Measurement]) -> Results:
    """Results of one round of a scenario."""
    made = Results()
    for server, seen in servers.items():
        made.add(scenario, server, 0, seen)
    return made


class Fairness(unittest.TestCase):
    def test_the_best_peer_is_the_one_that_counts(self) -> None:
        made = fair("queue-4", {
            "monoceros": measurement(1, all=(170, 200), ramp=(0, 300)), "uwsgi": measurement(1, all=(150, 190)),
            "granian": measurement(1, all=(280, 310), ramp=(0, 310)), "gunicorn-gthread": measurement(1, "3 broken")})
        self.assertEqual(("uwsgi 1.13 (1.13-1.13)", False),
                         (verdict(made, "queue-4: p99 <= 1.1 x the best").reached,
                          verdict(made, "queue-4: p99 <= 1.1 x the best").met))
        self.assertTrue(verdict(made, "queue-4: slowest <= 1.5").met)
        self.assertTrue(verdict(made, "queue-4: slowest of the first second").met)

    def test_the_connections_that_wait_longer_count(self) -> None:
        ours = measurement(1, kept=(150, 150), new=(400, 450))
        made = fair("reopen", {"monoceros": ours, "granian": measurement(1, kept=(200, 200), new=(190, 200)),
                               "gunicorn-gthread": measurement(1, kept=(20, 20), new=(900, 900))})
        judged = verdict(made, "reopen: p99 of kept and of new <= 1.1")
        self.assertEqual(("granian 2.00 (2.00-2.00)", False), (judged.reached, judged.met))
        self.assertIn("new 2.50 (160 ms)", verdict(made, "reopen: p99 <= 1.3 x the ideal").reached)

    def test_the_ideal_is_a_queue_served_in_order(self) -> None:
        self.assertEqual(160, one("queue-4").ideal_ms(rate=1))
        self.assertEqual(80, one("queue-4-2w").ideal_ms(rate=1))
        self.assertEqual(100, one("django-200").ideal_ms(rate=2000))

    def test_our_errors_meet_no_target_and_a_peer_s_prove_nothing(self) -> None:
        made = fair("queue-4", {"monoceros": measurement(1, "5 abandoned"), "granian": measurement(1)})
        self.assertEqual({False}, {seen.met for seen in judge(made) if seen.target.startswith("queue-4:")})
        made = fair("queue-4", {"monoceros": measurement(1), "granian": measurement(1, "5 abandoned")})
        self.assertIsNone(verdict(made, "queue-4: p99 <= 1.1").met)

    def test_fewer_requests_than_a_peer_are_seen(self) -> None:
        made = fair("queue-4", {"monoceros": measurement(1, rate=380), "granian": measurement(1, rate=399)})
        self.assertFalse(verdict(made, "queue-4: no peer answers more").met)

    def test_the_crowd_is_beside_the_two_that_it_names(self) -> None:
        made = fair("crowd", {"monoceros": measurement(1, all=(1.1, 9)), "bjoern": measurement(1, all=(1.0, 1)),
                              "fastwsgi": measurement(1, all=(1.1, 1))})
        self.assertFalse(verdict(made, "crowd: p99 not above fastwsgi and bjoern").met)


class Threads(unittest.TestCase):
    def test_more_threads_are_compared_with_one(self) -> None:
        made = Results()
        made.add("view-1t", "monoceros", 0, measurement(100, rate=7000))
        made.add("view-4t", "monoceros", 0, measurement(112, rate=6900))
        made.add("view-8t", "monoceros", 0, measurement(110, rate=6650))
        self.assertFalse(verdict(made, "view-4t").met)
        self.assertTrue(verdict(made, "view-8t").met)
        self.assertIsNone(verdict(made, "view-2t").met)

    def test_threads_that_sleep_are_all_used(self) -> None:
        made = fair("wait-50ms-4t", {"monoceros": measurement(1, rate=77), "granian": measurement(1, rate=70)})
        judged = verdict(made, "wait-50ms-4t: requests/s >= 0.96")
        self.assertEqual(("0.96, granian 0.88", True), (judged.reached, judged.met))
        made = fair("wait-50ms-4t", {"monoceros": measurement(1, rate=76)})
        self.assertFalse(verdict(made, "wait-50ms-4t: requests/s >= 0.96").met)

    def test_both_kinds_of_a_mix_are_judged(self) -> None:
        made = fair("mix-4t", {"monoceros": measurement(1, light=(10, 10), heavy=(30, 30)),
                               "granian": measurement(1, light=(20, 20), heavy=(25, 25))})
        self.assertFalse(verdict(made, "mix-4t").met)
        self.assertIn("p99 of light 0.50", verdict(made, "mix-4t").reached)
        self.assertIn("p99 of heavy 1.20", verdict(made, "mix-4t").reached)


class Edge(unittest.TestCase):
    def test_an_idle_connection_is_compared_with_a_plain_one(self) -> None:
        made = Results()
        self.assertIsNone(verdict(made, "idle HTTPS").met)
        made.idle = {"http": 1.0, "https": 10.5}
        self.assertTrue(verdict(made, "idle HTTPS").met)
        made.idle = {"http": 0.4, "https": 10.5}
        self.assertFalse(verdict(made, "idle HTTPS").met)

    def test_real_ip_is_compared_with_the_same_load_without_it(self) -> None:
        made = fair("forwarded", {"monoceros": measurement(100), "monoceros-real-ip": measurement(105)})
        self.assertTrue(verdict(made, "real-ip").met)
        made = fair("forwarded", {"monoceros": measurement(100), "monoceros-real-ip": measurement(106)})
        self.assertFalse(verdict(made, "real-ip").met)

    def test_files_are_compared_with_those_of_nginx(self) -> None:
        for name, limit in (("file", 0.95), ("large-file", 1.05), ("https-file", 1.0), ("https-large-file", 1.0)):
            for ours, met in ((limit, True), (limit + 0.02, False)):
                made = fair(name, {"monoceros": measurement(ours * 100), "nginx": measurement(100)})
                target = [seen for seen in judge(made, {Group.FILES}) if seen.met is not None]
                self.assertEqual([met], [seen.met for seen in target], name)
        made = fair("limited", {"monoceros": measurement(100), "monoceros-limits": measurement(106)})
        self.assertFalse(verdict(made, "rules and limits").met)

    def test_a_server_that_sends_files_is_given_their_directory(self) -> None:
        for scenario in SCENARIOS:
            command = " ".join(SERVERS[0].command(Launch(scenario, 80, Path("bin"), Path("monoceros"))))
            self.assertEqual(scenario.group is Group.FILES and scenario.static, "--static /static/=" in command)

    def test_nginx_takes_part_where_it_is_named(self) -> None:
        nginx = next(server for server in SERVERS if server.name == "nginx")
        self.assertEqual({"https-hello", "https-large", "handshake", "resumed", "resumed-1.2",
                          "file", "large-file", "https-file", "https-large-file"},
                         {scenario.name for scenario in SCENARIOS if nginx.takes_part(scenario)})

    def test_all_servers_use_the_same_certificate(self) -> None:
        launch = Launch(one("https-hello"), 8000, Path("bin"), Path("monoceros"))
        for server in SERVERS:
            if server.takes_part(launch.scenario) and not server.installed:
                self.assertIn("certificate.pem", " ".join(server.command(launch)), server.name)

    def test_the_client_is_told_the_version_and_whether_it_resumes(self) -> None:
        command = " ".join(load.command(one("resumed-1.2"), 80, 0.5, 1))
        self.assertIn("--tls 1.2 --resume yes", command)
        self.assertNotIn("--resume", load.command(one("handshake"), 80, 0.5, 1))
        self.assertIn("https://127.0.0.1:80/hello", load.command(one("https-hello"), 80, 0.5, 1))
        self.assertIn("X-Forwarded-For: 203.0.113.7", load.command(one("forwarded"), 80, 0.5, 1))

    def test_handshakes_of_another_kind_make_a_row_invalid(self) -> None:
        some = {"count": 5, "p50_ms": 1, "p99_ms": 2, "p999_ms": 3, "max_ms": 4}
        seen = {"seconds": 1, "answered": 2000, "rate": 2000.0, "errors": {"broken": 0}, "handshakes": {},
                **dict.fromkeys(("all", "kept", "new", "light", "heavy", "ramp"), some)}
        for name, full, resumed, errors in (
            ("handshake", 2000, 0, ""), ("handshake", 1900, 100, "100 resumed sessions"),
            ("resumed", 64, 1936, ""), ("resumed", 564, 1436, "500 full handshakes"),
        ):
            seen["handshakes"] = {"full": full, "resumed": resumed}
            self.assertEqual(errors, load.read(json.dumps(seen), one(name), 1.0).errors)


class Selection(unittest.TestCase):
    def test_names_are_used_once(self) -> None:
        self.assertEqual(len(SCENARIOS), len({scenario.name for scenario in SCENARIOS}))

    def test_chooses_by_name_and_by_group(self) -> None:
        self.assertEqual(SCENARIOS, scenarios.select([], []))
        self.assertEqual(["hello"], [scenario.name for scenario in scenarios.select(["hello"], [])])
        self.assertEqual({Group.FAIRNESS}, {scenario.group for scenario in scenarios.select([], ["fairness"])})

    def test_a_group_that_was_not_chosen_has_no_targets(self) -> None:
        self.assertEqual([], [seen for seen in judge(Results(), {Group.COST}) if "view" in seen.target])

    def test_a_server_of_one_process_is_no_peer_of_two_workers(self) -> None:
        taking_part = {server.name for server in SERVERS if server.takes_part(one("django-pair-2w"))}
        self.assertEqual({"monoceros", "gunicorn-sync", "gunicorn-gthread", "uwsgi", "granian"}, taking_part)

    def test_all_have_as_many_workers_and_threads_where_those_are_compared(self) -> None:
        launch = Launch(one("beside-2w"), 8000, Path("bin"), Path("monoceros"))
        commands = {server.name: " ".join(server.command(launch)) for server in SERVERS
                    if server.takes_part(launch.scenario)}
        self.assertEqual({"monoceros", "gunicorn-gthread", "uwsgi", "granian"}, set(commands))
        for name, command in commands.items():
            self.assertRegex(command, r"(workers|processes) 2\b", name)
            self.assertRegex(command, r"threads 4\b", name)


class Client(unittest.TestCase):
    def test_says_what_each_scenario_is_about(self) -> None:
        command = load.command(one("beside-2w"), 80, 0.5, 1)
        self.assertEqual("20", command[command.index("--new-per-second") + 1])
        self.assertEqual("4", command[command.index("--seconds") + 1])
        self.assertNotIn("--reopen", command)
        command = load.command(one("page-4t"), 80, 0.5, 1)
        self.assertEqual("/page", command[command.index("--heavy") + 1])

    def test_reads_the_kinds_that_there_are(self) -> None:
        none = {"count": 0, "p50_ms": 0, "p99_ms": 0, "p999_ms": 0, "max_ms": 0}
        some = {"count": 5, "p50_ms": 1, "p99_ms": 2, "p999_ms": 3, "max_ms": 4}
        output = json.dumps({
            "seconds": 1, "answered": 9, "requests": 5, "rate": 5.0, "kept": some, "new": none, "light": some,
            "heavy": none, "all": some, "ramp": some, "errors": {"refused": 0, "abandoned": 2}})
        seen = load.read(output, one("queue-4"), 1.0)
        self.assertEqual({"kept", "light", "all", "ramp"}, set(seen.times))
        self.assertEqual((9, 5.0, "2 abandoned"), (seen.requests, seen.rate, seen.errors))
        self.assertEqual(Times(5, 1, 2, 4), seen.times["all"])


class Strace(unittest.TestCase):
    def test_reads_rows_with_and_without_errors(self) -> None:
        lines = [" 50.00    0.000100           1       200           sendto",
                 " 50.00    0.000100           1       123        23 recvfrom",
                 "------ ----------- ----------- --------- --------- ----------------"]
        found = {match["name"]: int(match["calls"]) for line in lines if (match := syscalls.ROW.match(line))}
        self.assertEqual(found, {"sendto": 200, "recvfrom": 123})


class Lines(unittest.TestCase):
    def test_reads_who_is_ready_and_how_long_the_master_pauses(self) -> None:
        ready = preload.READY.search("[12] [INFO] master: worker=3 gen=1 pid=345 ready")
        died = preload.DIED.search("worker=3 gen=1 pid=345 died: SIGKILL, not by the master; the next one in 0.1 s")
        assert ready and died
        self.assertEqual((ready["name"], ready["pid"], died["pid"], died["wait"]), ("worker=3", "345", "345", "0.1"))


class Tables(unittest.TestCase):
    def test_shows_the_shop_without_and_with_a_mold(self) -> None:
        made = Results()
        for molded in (False, True):
            sizes = preload.Sizes(2048, 1024 if molded else 0, (1024, 3072, 2048, 2048))
            respawn = preload.Respawn(150, 100)
            made.preload[molded] = preload.Preload(sizes, sizes, (respawn,), molded, False)
        table = {line[0]: line[1:] for line in report.preload_table(made)}
        self.assertEqual(table["mold, MB"], ["", "1.0"])
        self.assertEqual(table["all processes, fresh, MB"], ["10.0", "11.0"])
        self.assertEqual(table["a worker, fresh, MB"], ["2.0", "2.0"])

    def test_an_invalid_row_has_as_many_cells_as_the_others(self) -> None:
        for scenario in SCENARIOS:
            made = Results()
            made.add(scenario.name, "bjoern", 0, measurement(1, errors="3 read"))
            made.add(scenario.name, "monoceros", 0, measurement(1))
            for _, table in report.tables(made, SCENARIOS, scenario.group):
                self.assertEqual(len({len(line) for line in table}), 1)

    def test_a_family_shares_a_table(self) -> None:
        made = Results()
        for name in ("django-200", "django-200-2w"):
            made.add(name, "monoceros", 0, measurement(1, rate=2000))
        ((title, table),) = report.tables(made, SCENARIOS, Group.FAIRNESS)
        self.assertEqual("Django, JSON, 4 threads, 200 connections", title)
        self.assertEqual([["1 worker", "monoceros"], ["1 worker", "ideal"], ["2 workers", "monoceros"],
                          ["2 workers", "ideal"]], [line[:2] for line in table[1:]])


if __name__ == "__main__":
    unittest.main()
