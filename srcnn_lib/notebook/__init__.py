"""What only notebooks need: the training panel, the explorer, Google Drive, summaries, a run for those without one."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from .colab import is_colab as is_colab
    from .colab import mount_drive as mount_drive
    from .drive.backup import DriveBackup as DriveBackup
    from .drive.restore import restore_run as restore_run
    from .explorer import Explorer as Explorer
    from .quickstart import open_or_train_run as open_or_train_run
    from .summary import print_environment as print_environment
    from .summary import print_scores as print_scores
    from .summary import print_weights_digest as print_weights_digest
    from .summary import probe_strip as probe_strip
    from .training_panel import TrainingPanel as TrainingPanel
    from .training_panel import open_run as open_run

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "colab": ["is_colab", "mount_drive"],
        "drive.backup": ["DriveBackup"],
        "drive.restore": ["restore_run"],
        "explorer": ["Explorer"],
        "quickstart": ["open_or_train_run"],
        "summary": ["print_environment", "print_scores", "print_weights_digest", "probe_strip"],
        "training_panel": ["TrainingPanel", "open_run"],
    },
)
