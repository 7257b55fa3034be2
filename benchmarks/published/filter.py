"""Keep the right answers: of each question and strategy the first whose answer equals the gold answer.

python filter.py ANSWERS.jsonl KEPT.jsonl
"""

import multiprocessing
import re
import sys

import pandas as pd

TAG = re.compile(r"<(\w+)>\n(.*)", re.DOTALL)
NUMBER = re.compile(r"-?\d[\d,]*\.?\d*")
SECONDS = 10


def run_program(code, connection):
    scope = {}
    try:
        exec(code, scope)
        connection.send(str(scope.get("answer")))
    except Exception:
        connection.send("")


def execute(code):
    ours, theirs = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.Process(target=run_program, args=(code, theirs))
    process.start()
    theirs.close()
    try:
        return ours.recv() if ours.poll(SECONDS) else ""
    except EOFError:
        return ""
    finally:
        process.kill()
        process.join()


def last_number(text):
    found = NUMBER.findall(text)
    return found[-1] if found else ""


def is_right(row):
    said = execute(row["text"]) if row["strategy"] == "pot" else last_number(row["text"])
    try:
        return abs(float(said.replace(",", "")) - float(row["answer"])) < 1e-3
    except ValueError:
        return False


def main():
    table = pd.read_json(sys.argv[1], lines=True, dtype={"answer": str, "text": str})
    if "strategy" not in table:  # the student names it
        tags = table["text"].str.extract(TAG)
        table["strategy"], table["text"] = tags[0].fillna(""), tags[1].fillna("")
    right = table.apply(is_right, axis=1)
    print(f"{right.sum()} of {len(table)} right ({100 * right.mean():.1f} %)")
    kept = table[right & (table["strategy"] != "")].drop_duplicates(["question", "strategy"])
    kept.to_json(sys.argv[2], orient="records", lines=True)


if __name__ == "__main__":
    main()
