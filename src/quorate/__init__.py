"""Run code on machines you do not trust; keep the data private; get a result anyone can check."""
