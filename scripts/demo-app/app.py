# SPDX-License-Identifier: GPL-2.0-only
"""The demo's application: a small web page, asked for without a network."""

import pathlib

import flask

app = flask.Flask(__name__)


@app.route("/packages/<word>")
def packages(word):
    info = pathlib.Path("/var/lib/dpkg/info")
    names = sorted({p.stem.split(":")[0] for p in info.glob("*.list") if word in p.name})
    return flask.render_template("packages.html", word=word, names=names)


if __name__ == "__main__":
    answer = app.test_client().get("/packages/python")
    print(answer.status)
    print(answer.text)
