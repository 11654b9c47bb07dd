"""Tests of the words in Python, outside Potluck and with the contract's files: python3 -m unittest"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

import potluck


class Numbers:
    """What numpy and pandas have: their own numbers and arrays."""

    def tolist(self):
        return [1, 2.5]


class Outside(unittest.TestCase):
    def test_each_word_does_nothing(self):
        with mock.patch.dict(os.environ, clear=True):
            self.assertFalse(potluck.inside() or potluck.cancelled())
            self.assertIsNone(potluck.task())
            self.assertIsNone(potluck.restore())
            self.assertEqual(list(potluck.track(iter("abc"))), ["a", "b", "c"])
            for said in (potluck.progress(1), potluck.log("info", "x", a=1), potluck.result(object())):
                self.assertIsNone(said)
            self.assertIsNone(potluck.checkpoint(object()))
            self.assertIsNone(potluck.forget())

    def test_another_version_of_the_contract_is_not_understood(self):
        with mock.patch.dict(os.environ, {"POTLUCK": "2", "POTLUCK_EVENTS": "/nowhere/x"}, clear=True):
            self.assertFalse(potluck.inside())
            potluck.result(1)

    def test_importing_it_imports_nothing_else(self):
        code = "import sys; before = set(sys.modules); import potluck; print(*(set(sys.modules) - before))"
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        self.assertEqual(ran.stdout, "potluck\n")

    def test_the_stub_knows_each_word(self):
        stub = (pathlib.Path(__file__).parent / "potluck.pyi").read_text()
        for word in potluck.__all__:
            self.assertIn(f"def {word}(", stub)


class Inside(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        names = {f"POTLUCK_{name}": str(self.folder / name.lower()) for name in ("EVENTS", "CONTROL")}
        patch = mock.patch.dict(os.environ, {"POTLUCK": "1", "POTLUCK_TASK": "3", "POTLUCK_TASKS": "9", **names}, clear=True)
        patch.start()
        self.addCleanup(patch.stop)

    def said(self):
        lines = (self.folder / "events").read_bytes().splitlines(keepends=True)
        self.assertTrue(all(len(line) <= potluck.EVENT_LEN_MAX for line in lines))
        return [json.loads(line) for line in lines]

    def test_progress_and_logs_are_courtesies(self):
        potluck.progress(1)
        potluck.progress(2, 5, 'a "b" \n ü')
        potluck.progress(float("nan"))
        potluck.log("warn", "odd", {"file": "a.csv"}, rows=Numbers(), what=potluck.log)
        potluck.log("info", "\U0001f600" * 100_000, number=float("inf"))
        progress, full, odd, long = self.said()
        self.assertEqual(progress, {"progress": {"done": 1}})
        self.assertEqual(full, {"progress": {"done": 2, "total": 5, "message": 'a "b" \n ü'}})
        self.assertEqual(odd["log"]["fields"], {"file": "a.csv", "rows": [1, 2.5], "what": str(potluck.log)})
        self.assertEqual(len(long["log"]["message"]), potluck.MESSAGE_LEN_MAX)
        self.assertEqual(long["log"]["fields"], {"left_out": 1})
        with self.assertRaisesRegex(ValueError, "one of error, warn, info, debug"):
            potluck.log("loud", "x")

    def test_a_result_is_any_value_and_no_other(self):
        potluck.result({"mean": Numbers()})
        for wrong in (object(), "x" * potluck.EVENT_LEN_MAX, float("nan")):
            with self.assertRaises((TypeError, ValueError)):
                potluck.result(wrong)
        self.assertEqual(self.said(), [{"result": {"mean": [1, 2.5]}}])

    def test_a_checkpoint_comes_back_as_it_was_given(self):
        for state in (b"\0bytes", {"line": 3, "sum": [1.5, None]}, "text", 0, None):
            potluck.checkpoint(state)
            with mock.patch.dict(os.environ, POTLUCK_RESTORE=self.said()[-1]["checkpoint"]["file"]):
                self.assertEqual(potluck.restore(), state)
        potluck.forget()
        self.assertEqual(self.said()[-1], {"checkpoint": None})

    def test_a_loop_says_its_beginning_and_its_end_and_little_between(self):
        self.assertEqual(sum(potluck.track(range(100_000), message="adding")), 4_999_950_000)
        said = self.said()
        self.assertEqual(said[0]["progress"], {"done": 0, "total": 100_000, "message": "adding"})
        self.assertEqual(said[-1]["progress"]["done"], 100_000)
        self.assertLess(len(said), 10_000)

    def test_a_loop_that_is_left_says_what_it_has_done(self):
        for number in potluck.track(iter(range(50)), total=50):
            if number == 7:
                break
        self.assertEqual(self.said()[-1]["progress"], {"done": 7, "total": 50})

    def test_it_is_told_its_task_and_when_to_end(self):
        self.assertEqual(potluck.task(), (3, 9))
        self.assertFalse(potluck.cancelled())
        for text, expected in (("", False), ("hurry\n", False), ("hurry\ncancel\n", True)):
            (self.folder / "control").write_text(text)
            self.assertEqual(potluck.cancelled(), expected)


if __name__ == "__main__":
    unittest.main()
