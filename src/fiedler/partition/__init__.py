"""Eigenvectors to labels: assignments, merged micro-clusters, one partition from several."""

from fiedler.partition.assign import assign_labels
from fiedler.partition.centers import Partition, nearest_center, row_normalized
from fiedler.partition.choose import choose_partition
from fiedler.partition.consensus import known_partition, rebuilt_partition
from fiedler.partition.count import components_k, modularity_k
from fiedler.partition.modularity import merge_groups, modularity, normalized_cut
from fiedler.partition.rebuild import mixed_affinity, rebuild_partition
from fiedler.partition.stability import best_partition, markov_stability

__all__ = [
    "Partition",
    "assign_labels",
    "best_partition",
    "choose_partition",
    "components_k",
    "known_partition",
    "markov_stability",
    "merge_groups",
    "mixed_affinity",
    "modularity",
    "modularity_k",
    "nearest_center",
    "normalized_cut",
    "rebuild_partition",
    "rebuilt_partition",
    "row_normalized",
]
