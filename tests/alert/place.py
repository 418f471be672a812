"""A place for one test of alerts: captures, tape, secrets, a recorder that is fed by hand; and what runs the tests of a program."""
import json, os, shutil, subprocess, tempfile, time

from traffic import GLOBAL, Traffic

here = os.path.dirname(os.path.abspath(__file__))
ESTAPE = os.path.abspath(os.environ.get("ESTAPE", os.path.join(here, "../../build/estape")))
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ENV = {k: v for k, v in os.environ.items() if not k.startswith("ESTAPE")}


class Skip(Exception):
    pass


class Place:
    """A folder for one test: captures, tape, secrets, a recorder that is fed by hand."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="estape-alert-")
        self.tape = os.path.join(self.dir, "tape")
        self.proc = None
        self.write("secret", SECRET)

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text, mode=0o600):
        with open(self.path(name), "w") as f:
            f.write(text)
        os.chmod(self.path(name), mode)
        return self.path(name)

    def record(self, capture, *args, timeout=60):
        with open(self.path("in.pcap"), "wb") as f:
            f.write(capture)
        begun = time.time()
        done = subprocess.run([ESTAPE, "record", "-q", "-r", self.path("in.pcap"), "--tape", self.tape, "--config", self.write("conf", ""), *args],
                              env=ENV, capture_output=True, text=True, timeout=timeout)
        self.took = time.time() - begun
        return done

    def start(self, *args):
        self.proc = subprocess.Popen([ESTAPE, "record", "-q", "-r", "-", "--tape", self.tape, "--config", self.write("conf", ""), *args], env=ENV, stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.proc.stdin.write(GLOBAL)
        self.proc.stdin.flush()

    def feed(self, packets):
        self.proc.stdin.write(packets)
        self.proc.stdin.flush()

    def end(self, timeout=60):
        self.proc.stdin.close()
        self.proc.wait(timeout)
        return self.proc.returncode

    def alerts(self, *args):
        done = subprocess.run([ESTAPE, "alerts", "--json", "--tape", self.tape, *args], env=ENV, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def close(self):
        if self.proc and self.proc.poll() is None:
            self.proc.kill()
            self.proc.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


def capture(count, **more):
    t = Traffic()
    return GLOBAL + b"".join(t.delete(f"index-{i}", **more) for i in range(count))


def wait_until(condition, seconds=20):
    end = time.time() + seconds
    while time.time() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


def descendants(pid):
    """Of the recorder: the supervisor and its workers, by /proc."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as f:
                    parents[int(name)] = int(f.read().rsplit(")", 1)[1].split()[1])
            except OSError:
                pass
    found = [pid]
    for p in found:
        found += [c for c, parent in parents.items() if parent == p]
    return found[1:]


def run_tests(names, wanted):
    """Every function of a program whose one argument is p: a fresh place for each. Gives (passed, failed, skipped)."""
    passed = failed = skipped = 0
    for test in list(names.values()):
        code = getattr(test, "__code__", None)
        if not code or code.co_varnames[:1] != ("p",) or code.co_argcount != 1 or (wanted and test.__name__ not in wanted):
            continue
        place = Place()
        try:
            test(place)
            passed += 1
        except Skip as why:
            skipped += 1
            print(f"skip {test.__name__}: {why}")
        except Exception as e:
            failed += 1
            print(f"not ok {test.__name__}: {type(e).__name__}: {str(e)[:600]}")
        finally:
            place.close()
    return passed, failed, skipped
