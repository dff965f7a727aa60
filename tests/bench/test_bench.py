"""The arithmetic of the benchmark: ratios, verdicts, and what is read from other programs. Starts no server."""

from __future__ import annotations

import unittest

import preload
import report
import syscalls
from measure import Measurement
from processes import Memory
from results import Ratio, Results, cpu
from scenarios import SCENARIOS
from targets import Verdict, judge


def measurement(cpu_us: float, errors: str = "", workers_kb: int = 8000) -> Measurement:
    return Measurement(cpu_us, 1000.0, 1.0, 2.0, Memory(4000, (workers_kb,)), errors, 0.0)


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
            self.assertEqual(len({len(line) for line in report.scenario_table(made, scenario)}), 1)


if __name__ == "__main__":
    unittest.main()
