# SPDX-License-Identifier: LGPL-2.1-or-later
# Runs tests of CPython's own test package and says how each of them went, one line a test: pass, fail or skip, and
# its name. What a test prints goes to standard error.
#
#   cpython.py SECONDS MODULE [TEST]...    all tests of test.MODULE, or only those named (Class.method)
#
# A test that takes longer than SECONDS has failed; the rest goes on in a new process.

import faulthandler
import os
import signal
import subprocess
import sys
import tempfile
import unittest


class Lines(unittest.TestResult):
    """Writes a line before and a line after each test."""

    def __init__(self, out, prefix, seconds):
        super().__init__()
        self.out = out
        self.prefix = prefix
        self.seconds = seconds
        self.verdict = None

    def name(self, test):
        return test.id().removeprefix(self.prefix)

    def say(self, verdict, name):
        print(verdict, name, file=self.out, flush=True)

    def startTest(self, test):
        super().startTest(test)
        self.verdict = "pass"
        self.say("start", self.name(test))
        faulthandler.dump_traceback_later(self.seconds, exit=True)

    def stopTest(self, test):
        super().stopTest(test)
        faulthandler.cancel_dump_traceback_later()
        self.say(self.verdict, self.name(test))
        self.verdict = None

    def broken(self, test, error):
        print("---", self.name(test), file=sys.stderr)
        print(self._exc_info_to_string(error, test), file=sys.stderr, flush=True)
        if self.verdict is None:
            # setUpClass, tearDownModule and the like, which stand for all their tests
            self.say("fail", self.name(test).replace(" ", "-"))
        self.verdict = "fail"

    def addError(self, test, err):
        self.broken(test, err)

    def addFailure(self, test, err):
        self.broken(test, err)

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.broken(test, err)

    def addSkip(self, test, reason):
        print("---", self.name(test), "skipped:", reason, file=sys.stderr, flush=True)
        if self.verdict is None:
            self.say("skip", self.name(test).replace(" ", "-"))
        elif self.verdict == "pass":
            self.verdict = "skip"

    def addExpectedFailure(self, test, err):
        pass

    def addUnexpectedSuccess(self, test):
        self.broken(test, (AssertionError, AssertionError("unexpected success"), None))


def each(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from each(test)
        else:
            yield test


def run_tests(seconds, module, done, names):
    """In the child: the tests of a module but those done. What they print themselves is no result."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    # A shell starts what runs in the background without it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from test import support
    support.use_resources = ["cpu", "network", "subprocess", "walltime"]
    support.verbose = False
    prefix = "test." + module + "."
    loaded = unittest.defaultTestLoader.loadTestsFromName("test." + module)
    wanted = unittest.TestSuite()
    result = Lines(out, prefix, seconds)
    for test in each(loaded):
        name = result.name(test)
        # The vsock of a machine is no place for tests, that of a test VM is.
        if "VSOCK" in name and not os.path.exists("/run/ip2vsock-vm"):
            continue
        if name not in done and (not names or name in names):
            wanted.addTest(test)
    wanted.run(result)
    out.flush()
    # Threads that a failed test left behind keep no one waiting.
    sys.stderr.flush()
    os._exit(0)


def main():
    seconds, module, names = sys.argv[1], sys.argv[2], sys.argv[3:]
    done = set()
    with tempfile.TemporaryDirectory() as directory:
        while True:
            listing = os.path.join(directory, "done")
            with open(listing, "w") as file:
                file.write("\n".join(done))
            child = subprocess.Popen([sys.executable, __file__, "--child", seconds, module, listing] + names,
                                     stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, cwd=directory,
                                     start_new_session=True)
            running = None
            for line in child.stdout:
                word, name = line.rstrip("\n").split(" ", 1)
                if word == "start":
                    running = name
                    continue
                running = None
                done.add(name)
                print(word, name, flush=True)
            status = child.wait()
            if running is None:
                if status != 0:
                    print("fail", "(the-module)", flush=True)
                return
            print("---", running, "ended the process or took too long", file=sys.stderr, flush=True)
            print("fail", running, flush=True)
            done.add(running)


# Processes that multiprocessing starts read this file once more, by another name.
if __name__ == "__main__":
    if sys.argv[1] == "--child":
        with open(sys.argv[4]) as file:
            run_tests(float(sys.argv[2]), sys.argv[3], set(file.read().split("\n")), sys.argv[5:])
    else:
        main()
