"""The adaptive mixture: the student's own solutions, and the teacher's where the student has none of that strategy.

python mix.py TEACHER.jsonl STUDENT.jsonl MIXTURE.jsonl
"""

import sys

import pandas as pd

KEYS = ["question", "strategy"]
COLUMNS = ["question", "answer", "strategy", "text"]


def main():
    teacher, student = (pd.read_json(path, lines=True, dtype={"answer": str, "text": str}) for path in sys.argv[1:3])
    merged = teacher.merge(student[KEYS], on=KEYS, how="left", indicator=True)
    missing = teacher[(merged["_merge"] == "left_only").to_numpy()]
    mixture = pd.concat([student[COLUMNS], missing[COLUMNS]])
    print(f"{len(student)} of the student, {len(missing)} of the teacher")
    mixture.to_json(sys.argv[3], orient="records", lines=True)


if __name__ == "__main__":
    main()
