"""Reads the published packages that list REST calls: each reader yields (API, verb, path template, kind of body)."""
import itertools
import json
import os
import re
import subprocess
import tarfile
import zipfile


def fetch(kind, package, version, cache):
    """The package's archive, from the cache or through its registry's client."""
    if kind == "classic":
        group, artifact = package.split(":")
        name = os.path.join(cache, f"{group}-{artifact}-{version}.jar")
        if not os.path.exists(name):
            subprocess.run(["mvn", "-q", "-B", "dependency:copy", f"-Dartifact={package}:{version}",
                            f"-DoutputDirectory={cache}/new"], check=True, stdout=subprocess.DEVNULL)
            os.rename(f"{cache}/new/{artifact}-{version}.jar", name)
        return name
    if kind == "python":
        name = os.path.join(cache, f"{package.replace('-', '_')}-{version}-py2.py3-none-any.whl")
        if not os.path.exists(name):
            subprocess.run(["pip", "download", "-q", "--no-deps", "-d", cache, f"{package}=={version}"],
                           check=True, stdout=subprocess.DEVNULL)
        return name
    name = os.path.join(cache, package.lstrip("@").replace("/", "-") + f"-{version}.tgz")
    if not os.path.exists(name):
        subprocess.run(["npm", "pack", "--silent", "--pack-destination", cache, f"{package}@{version}"],
                       check=True, stdout=subprocess.DEVNULL)
    return name


def read_classic(archive):
    """rest-api-spec/api/*.json, both generations: url.paths of objects (7.x on) or of strings with one method list."""
    with zipfile.ZipFile(archive) as z:
        for entry in z.namelist():
            if not re.match(r"(rest-api-spec/)?api/[^/]+\.json$", entry) or "/_common" in entry:
                continue
            for name, spec in json.loads(z.read(entry)).items():
                body = spec.get("body")
                kind = "none" if not body else "ndjson" if body.get("serialize") == "bulk" else "json"
                types = (spec.get("headers") or {}).get("content_type") or []
                if kind == "json" and types and all("ndjson" in t for t in types):
                    kind = "ndjson"
                for path in spec["url"]["paths"]:
                    if isinstance(path, str):
                        for verb in spec["methods"]:
                            yield name, verb, path, kind
                    else:
                        for verb in path["methods"]:
                            yield name, verb, path["path"], kind


def read_schema(archive):
    """The endpoints of the compiled specification."""
    with tarfile.open(archive) as t:
        schema = json.load(t.extractfile("package/dist/schema.json"))
    for e in schema["endpoints"]:
        media = e.get("requestMediaType") or []
        kind = "none" if not media else "ndjson" if any("ndjson" in m for m in media) else "json"
        for url in e["urls"]:
            for verb in url["methods"]:
                yield e["name"], verb, url["path"], kind


def snake(name):
    return re.sub(r"[A-Z]", lambda m: "_" + m.group().lower(), name)


def verbs_of(expression):
    return re.findall(r"'([A-Z]+)'", expression)


def body_of(text):
    """ndjson, json where a body is asked for or documented, else none."""
    if "bulkBody" in text:
        return "ndjson"
    return "json" if re.search(r"Missing required parameter: body|@param \{object\} body", text) else "none"


def client_path(expression):
    """'/' + '_a' + '/' + encodeURIComponent(job_id || jobId) -> /_a/{job_id}"""
    path = ""
    for argument, literal in re.findall(r"encodeURIComponent\(([^)]*)\)|'([^']*)'", expression):
        names = [n.strip() for n in argument.split("||")]
        path += "{%s}" % next((n for n in names if "_" in n), names[0]) if argument else literal
    return path


def read_client(archive):
    """The generated JavaScript clients of 6.8 (one file an API) and 7.17 (one a namespace), whose only list is in the code that builds paths."""
    with tarfile.open(archive) as t:
        for member in t.getmembers():
            m = re.match(r"package/api/api/(.*)\.js$", member.name)
            if not m:
                continue
            text = t.extractfile(member).read().decode()
            name, verbs = m.group(1), []
            for part in re.split(r"(?m)^(?=\w+Api\.prototype\.\w+ = function )", text):
                method = re.match(r"\w+Api\.prototype\.(\w+) = function", part)
                api = name + "." + snake(method.group(1)) if method else name
                for line in part.splitlines():
                    verb, path = re.search(r"\bmethod = (.*)", line), re.search(r"\bpath = ('/.*)", line)
                    verbs = verbs_of(verb.group(1)) if verb else verbs
                    for v in verbs if path else []:
                        yield api, v, client_path(path.group(1)), body_of(part)


def read_os_client(archive):
    """The JavaScript client that is generated from the OpenSearch API specification, one file an API."""
    with tarfile.open(archive) as t:
        for member in t.getmembers():
            text = t.extractfile(member).read().decode() if re.match(r"package/api/.*\.js$", member.name) else ""
            name = re.search(r"@link \S+ - ([\w.]+)\}", text)
            if not name:
                continue
            required = set(re.findall(r"params\.(\w+) == null\) return handleMissing", text))
            method = next(re.finditer(r"\bmethod = (.*);", text)).group(1)
            either = re.match(r"(\w+) == null \? '(\w+)' : '(\w+)'", method)
            kind = "ndjson" if "bulkBody" in text else "json" if re.search(r"@param \{\w+\} \[?params\.body\b", text) else "none"
            for expression in re.findall(r"\bpath = (.*);", text):
                for path in os_paths(expression, required):
                    verbs = [either.group(3 if "{%s}" % either.group(1) in path else 2)] if either else verbs_of(method)
                    for verb in verbs:
                        yield name.group(1), verb, path, kind


def os_paths(expression, required):
    """'/_a/' + id + '/_b' is one path; ['/_a', id].filter(...).join('/') one for every set of the names that may be left out."""
    listed = re.match(r"\[(.*)\]\.filter\(c => c != null\)\.join\('/'\)$", expression)
    if not listed:
        return ["".join("{%s}" % word if word else literal for literal, word in re.findall(r"'([^']*)'|(\w+)", expression))]
    parts = [p.strip() for p in listed.group(1).split(",")]
    choices = [[p[1:-1]] if p.startswith("'") else ["{%s}" % p] if p in required else ["{%s}" % p, None] for p in parts]
    return ["/".join(p for p in some if p is not None) or "/" for some in itertools.product(*choices)]


def read_python(archive):
    """The X-Pack client of 5.x: perform_request(VERB, path) of every method."""
    with zipfile.ZipFile(archive) as z:
        for entry in z.namelist():
            module = re.match(r"elasticsearch_xpack/(\w+)\.py$", entry)
            name = ""
            for m in re.finditer(r"def (\w+)\(self([^)]*)|perform_request\(\s*'([A-Z]+)',\s*(?:_make_path\(([^)]*)\)|'([^']*)')",
                                 z.read(entry).decode() if module else ""):
                if m.group(1):
                    name, kind = m.group(1), "json" if re.search(r"\bbody\b", m.group(2)) else "none"
                    continue
                parts = [p.strip() for p in (m.group(4) or "").split(",")]
                path = m.group(5) or "/" + "/".join(p[1:-1] if p.startswith("'") else "{%s}" % p.replace("doc_type", "type") for p in parts)
                namespace = "xpack" if module.group(1) == "__init__" else module.group(1)
                yield f"{namespace}.{name}", m.group(3), path, kind


READERS = {"classic": read_classic, "schema": read_schema, "client": read_client, "os_client": read_os_client, "python": read_python}
