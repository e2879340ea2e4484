"""What only notebooks need: the training panel, the explorer, Google Drive, a run for those who have none."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from .colab import is_colab as is_colab
    from .colab import mount_drive as mount_drive
    from .drive.backup import DriveBackup as DriveBackup
    from .drive.restore import restore_run as restore_run
    from .explorer import Explorer as Explorer
    from .quickstart import open_or_train_run as open_or_train_run
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
        "training_panel": ["TrainingPanel", "open_run"],
    },
)
