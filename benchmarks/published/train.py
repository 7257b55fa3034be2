"""Fine-tune a model on questions and rationales: the target is a strategy's tag, then the rationale.

python train.py --model MODEL --data KEPT.jsonl --lr 1e-3 --output FOLDER
"""

import argparse

from datasets import load_dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer


def to_turns(row):
    return {
        "prompt": [{"role": "user", "content": row["question"]}],
        "completion": [{"role": "assistant", "content": f"<{row['strategy']}>\n{row['text']}"}],
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--lr", type=float, required=True)
    parser.add_argument("--epochs", type=float, default=1)
    parser.add_argument("--output", required=True)
    args = parser.parse_args()
    rows = load_dataset("json", data_files=args.data, split="train")
    rows = rows.map(to_turns, remove_columns=rows.column_names)
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(args.model),
        processing_class=AutoTokenizer.from_pretrained(args.model),
        train_dataset=rows,
        args=SFTConfig(
            output_dir=args.output,
            num_train_epochs=args.epochs,
            per_device_train_batch_size=4,
            learning_rate=args.lr,
            lr_scheduler_type="linear",
            warmup_steps=10,
            weight_decay=0.01,
            max_length=512,
            bf16=False,
            gradient_checkpointing=False,
            report_to="none",
            seed=1,
        ),
    )
    trainer.train()
    trainer.save_model(args.output)


if __name__ == "__main__":
    main()
