"""Real pictures as judges of the methods; `judges.judge_all` runs all of them."""
