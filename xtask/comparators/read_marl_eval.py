"""What marl-eval makes of a file that `consort compare` wrote: a JSON object from method to its interquartile mean."""

import json
import sys

import matplotlib

matplotlib.use("Agg")

from marl_eval.plotting_tools.plotting import (  # noqa: E402
    aggregate_scores,
    performance_profiles,
    probability_of_improvement,
    sample_efficiency_curves,
)
from marl_eval.utils.data_processing_utils import (  # noqa: E402
    create_matrices_for_rliable,
    data_process_pipeline,
)

METRICS = ["return"]

with open(sys.argv[1], encoding="utf-8") as file:
    raw = json.load(file)
data = data_process_pipeline(raw_data=raw, metrics_to_normalize=METRICS)
comparison, efficiency = create_matrices_for_rliable(
    data_dictionary=data, environment_name="consort", metrics_to_normalize=METRICS
)
shared = {"metric_name": "return", "metrics_to_normalize": METRICS}
_, scores, _ = aggregate_scores(dictionary=comparison, rounding_decimals=6, tabular_results_file_path=sys.argv[2], **shared)
# Every picture, as a reader would draw it: what they make is looked at by nobody, but they must not fail.
performance_profiles(comparison, **shared)
names = list(scores)
probability_of_improvement(comparison, algorithms_to_compare=[names], **shared)
sample_efficiency_curves(efficiency, **shared)
print(json.dumps({name.lower(): float(score["IQM"].split(" ")[0]) for name, score in scores.items()}))
