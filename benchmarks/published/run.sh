# One round of SIKeD, step by step. STUDENT is the model to begin with; data/ has teacher.jsonl, train.jsonl, validation.jsonl and test.jsonl.
set -e
python filter.py data/teacher.jsonl pool-0.jsonl
python train.py --model $STUDENT --data pool-0.jsonl --lr 1e-3 --output student-0
python sample.py --model student-0 --questions data/validation.jsonl --output validation-0.jsonl
python filter.py validation-0.jsonl validation-0-right.jsonl
python sample.py --model student-0 --questions data/train.jsonl --samples 4 --temperature 0.7 --output samples-1.jsonl
python filter.py samples-1.jsonl self-1.jsonl
python mix.py pool-0.jsonl self-1.jsonl mix-1.jsonl
python train.py --model student-0 --data mix-1.jsonl --lr 6e-4 --output student-1
python sample.py --model student-1 --questions data/validation.jsonl --output validation-1.jsonl
python filter.py validation-1.jsonl validation-1-right.jsonl
python sample.py --model student-1 --questions data/test.jsonl --output test-1.jsonl
python filter.py test-1.jsonl test-1-right.jsonl
