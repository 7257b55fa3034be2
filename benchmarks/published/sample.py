"""Have a model answer questions: greedily, or several times at a temperature.

python sample.py --model MODEL --questions QUESTIONS.jsonl --output ANSWERS.jsonl [--samples 4 --temperature 0.7]
"""

import argparse

import pandas as pd
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--questions", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--samples", type=int, default=1)
    parser.add_argument("--temperature", type=float, default=0)
    parser.add_argument("--batch", type=int, default=64)
    args = parser.parse_args()
    set_seed(1)
    tokenizer = AutoTokenizer.from_pretrained(args.model, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(args.model).eval()
    settings = {"do_sample": False}
    if args.temperature:
        settings = {"do_sample": True, "temperature": args.temperature, "top_p": 0.95, "top_k": 0}
    questions = pd.read_json(args.questions, lines=True, dtype={"answer": str}).to_dict("records")
    size = max(1, args.batch // args.samples)
    answers = []
    for start in range(0, len(questions), size):
        batch = questions[start : start + size]
        turns = [[{"role": "user", "content": row["question"]}] for row in batch]
        inputs = tokenizer.apply_chat_template(
            turns, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
        )
        with torch.inference_mode():
            written = model.generate(
                **inputs,
                **settings,
                num_return_sequences=args.samples,
                max_new_tokens=128,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
        texts = tokenizer.batch_decode(written[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        for place, text in enumerate(texts):
            row = batch[place // args.samples]
            answers.append({"question": row["question"], "answer": row["answer"], "text": text})
    pd.DataFrame(answers).to_json(args.output, orient="records", lines=True)


if __name__ == "__main__":
    main()
