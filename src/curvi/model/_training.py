"""Training: the host's trainer, with minibatches of even size and a KL warm-up that ends."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.strategies import ParallelStrategy
from scvi import REGISTRY_KEYS, settings
from scvi.dataloaders import DataSplitter
from scvi.model._utils import get_max_epochs_heuristic
from scvi.model.base import UnsupervisedTrainingMixin
from scvi.train import SaveCheckpoint, TrainingPlan

from curvi.data import PLACES, CellDataset, CellLoader, hold, suits_sparse
from curvi.model._plan import LeanTrainingPlan
from curvi.model._registration import RegisteredModel
from curvi.model._runner import Runner

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

    from lightning.pytorch import LightningDataModule

# Weights of so few digits leave the latent manifold none.
_TOO_COARSE = ("16-true", "bf16-true", "transformer-engine", "transformer-engine-float16")
_SPLIT = ("train_idx", "val_idx", "test_idx")


class CellSplitter(DataSplitter):
    """The host's split into training, validation and test cells, loaded by :class:`curvi.data.CellLoader`.

    Checkpoints keep the split, so that training goes on with the same cells. Of several processes all have the split of
    the first, and a share of the cells of each part. ``data_device`` says what makes the minibatches, and the other
    arguments are the host's; minibatches are compressed rows where ``load_sparse_tensor`` asks for it, or a step is
    faster so.

    Raises
    ------
    ValueError
        If there is no such ``data_device``.
    """

    data_loader_cls = CellLoader
    shared_seed = 0
    load_sparse_tensor: bool

    def __init__(self, *args: Any, data_device: str = "auto", **kwargs: Any) -> None:
        if data_device not in PLACES:
            known = ", ".join(map(repr, PLACES))
            raise ValueError(f"unknown `data_device` {data_device!r}; the known names are {known}.")
        super().__init__(*args, **kwargs)
        self.data_device = data_device

    def setup(self, stage: str | None = None) -> None:
        """Split the cells; the processes of a run agree on it, and each holds the cells where it trains."""
        super().setup(stage)
        if self.trainer is None:
            return
        # Whoever does not ask for compressed rows has them where they are faster.
        if not self.load_sparse_tensor and self.data_device != "model":
            self.load_sparse_tensor = self._suits_sparse()
        self._reads_sparse = self.trainer.lightning_module.module.trains_sparse
        strategy = self.trainer.strategy
        # The host judges by the name of the strategy, which may not have been given.
        self.data_loader_kwargs["distributed_sampler"] = isinstance(strategy, ParallelStrategy)
        if self.trainer.world_size > 1:
            split = {name: np.asarray(getattr(self, name)) for name in _SPLIT}
            self.shared_seed, split = strategy.broadcast((self.shared_seed, split))
            for name, cells in split.items():
                setattr(self, name, cells)
        if isinstance(strategy, ParallelStrategy):
            self.data_loader_kwargs["seed"] = self.shared_seed
        if self.data_device == "model" or (self.data_device == "auto" and strategy.root_device.type != "cpu"):
            self._hold(strategy.root_device)

    def _hold(self, device: torch.device) -> None:
        """Let the device of the model hold the cells, if it can."""
        asked = {"num_workers": settings.dl_num_workers, "pin_memory": self.pin_memory} | self.data_loader_kwargs
        self.data_loader_kwargs["resident"] = hold(
            CellDataset.from_manager(self.adata_manager, np.arange(self.adata_manager.adata.n_obs)),
            device,
            asked | {"load_sparse_tensor": self.load_sparse_tensor},
            must=self.data_device == "model",
            say=self.trainer.is_global_zero,
        )

    def teardown(self, stage: str | None = None) -> None:
        """Let go of the cells that a device holds."""
        held = self.data_loader_kwargs.pop("resident", None)
        if held is not None:
            held.free()

    def on_exception(self, exception: BaseException) -> None:
        """Let go of them where training ends otherwise, too."""
        self.teardown()

    def _suits_sparse(self) -> bool:
        """Whether a step is faster with compressed rows: on the processor, in single precision, of mostly zeros."""
        trainer = self.trainer
        if trainer.strategy.root_device.type != "cpu" or trainer.precision != "32-true":
            return False
        matrix = self.adata_manager.get_from_registry(REGISTRY_KEYS.X_KEY)
        return trainer.lightning_module.module.trains_sparse and suits_sparse(matrix)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """The minibatch where the model is, which on the processor it always is."""
        return batch if device.type == "cpu" else super().transfer_batch_to_device(batch, device, dataloader_idx)

    def on_after_batch_transfer(self, batch: dict[str, torch.Tensor], dataloader_idx: int) -> dict[str, torch.Tensor]:
        """The minibatch as it is; for a model that does not read compressed rows they are made dense."""
        if not self.load_sparse_tensor or self._reads_sparse:
            return batch
        return super().on_after_batch_transfer(batch, dataloader_idx)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The numbers of the cells of each part, and the seed of what goes to which process."""
        split = {name: torch.as_tensor(np.asarray(getattr(self, name), dtype=np.int64)) for name in _SPLIT}
        return split | {"shared_seed": torch.tensor(self.shared_seed)}

    def load_state_dict(self, state_dict: dict[str, torch.Tensor]) -> None:
        """The split of a checkpoint.

        Raises
        ------
        ValueError
            If it was made for another number of cells.
        """
        n_then = sum(len(state_dict[name]) for name in _SPLIT)
        n_now = sum(len(getattr(self, name)) for name in _SPLIT)
        if n_then != n_now:
            raise ValueError(
                f"`ckpt_path` names a checkpoint of a training on {n_then} cells; the model has {n_now}. Pass the same "
                "data in the same order."
            )
        for name in _SPLIT:
            setattr(self, name, state_dict[name].numpy())
        if "seed" in self.data_loader_kwargs and "shared_seed" in state_dict:
            self.data_loader_kwargs["seed"] = self.shared_seed = int(state_dict["shared_seed"])


class TrainingMixin(UnsupervisedTrainingMixin, RegisteredModel):
    """The :meth:`train` of :class:`curvi.CurviVAE`."""

    _data_splitter_cls = CellSplitter
    _training_plan_cls = LeanTrainingPlan
    _train_runner_cls = Runner

    def train(
        self,
        max_epochs: int | None = None,
        *,
        accelerator: str = "auto",
        devices: int | list[int] | str = "auto",
        train_size: float | None = None,
        validation_size: float | None = None,
        shuffle_set_split: bool = True,
        batch_size: int = 128,
        early_stopping: bool = False,
        kl_weight: float = 1.0,
        kl_warmup: float = 0.1,
        lr_schedule: str = "constant",
        data_device: str = "auto",
        plan_kwargs: Mapping[str, Any] | None = None,
        datamodule: LightningDataModule | None = None,
        ckpt_path: str | PathLike[str] | None = None,
        **trainer_kwargs: Any,
    ) -> None:
        r"""Fit the model by stochastic gradients of the ELBO.

        Parameters
        ----------
        max_epochs
            Passes over the training cells; by default the host's rule, ``min(round(20000 / n_cells * 400), 400)``, or
            none where ``max_steps`` is given. With both, training ends with whichever is reached first.
        accelerator, devices
            Where to train, as in :class:`lightning.pytorch.Trainer`. Several devices, with ``strategy="ddp"`` or
            ``"ddp_spawn"`` and for several machines ``num_nodes``, train in as many processes.
        train_size, validation_size
            Fractions of the cells; by default 0.9 and the rest. What neither takes is the test set.
        shuffle_set_split
            Whether the split is random (by ``scvi.settings.seed``) or in the order of the cells.
        batch_size
            The largest minibatch, of each process if there are several; minibatches are of nearly equal size.
        early_stopping
            Whether to stop once the validation ELBO no longer rises.
        kl_weight
            The weight :math:`\beta \ge 0` of the divergence.
        kl_warmup
            The fraction in [0, 1] of the steps that will run over which the weight rises linearly from 0; 0 for a
            constant weight.
        lr_schedule
            ``"constant"``, or ``"cosine"`` for a learning rate that falls along a cosine to 0 at the last step, which
            lets it start higher.
        data_device
            Where minibatches are made: ``"model"`` copies all cells to the device of the model before the first step,
            ``"cpu"`` each minibatch. ``"auto"`` is ``"model"`` on an accelerator if the cells are in memory and take at
            most half of what it has free.
        plan_kwargs
            Further arguments of the host's training plan (``lr``, ``weight_decay``, ``eps``,
            ``reduce_lr_on_plateau``, ...). ``n_steps_kl_warmup`` or ``n_epochs_kl_warmup`` given here go before
            ``kl_warmup``.
        datamodule
            Minibatches to train on in the place of the model's own data, whose split and ``batch_size`` are then its
            affair; :func:`curvi.data.make_registry` says what they must hold.
        ckpt_path
            A checkpoint of :class:`lightning.pytorch.callbacks.ModelCheckpoint` to go on from, with the other
            arguments as they were: weights, optimiser, schedules, split, random numbers and history.
        **trainer_kwargs
            ``datasplitter_kwargs`` and all arguments of the host's trainer (``callbacks``, ``logger``, ``max_steps``,
            ``check_val_every_n_epoch``, ``gradient_clip_val``, ``precision``, ``enable_progress_bar``,
            ``simple_progress_bar``, ...).

        Raises
        ------
        ValueError
            If ``max_epochs`` or ``batch_size`` is below 1, ``kl_weight`` is negative, ``kl_warmup`` outside [0, 1],
            ``lr_schedule`` is unknown, ``early_stopping`` has no validation cells, ``plan_kwargs`` has a name that the
            training plan does not take, ``precision`` leaves the latent space too few digits, ``ckpt_path`` is a
            folder, there is nothing to train on, there are too few cells for the processes, or ``data_device`` is
            ``"model"`` and the cells cannot be held there.
        """
        if trainer_kwargs.get("datamodule") is None:
            self._need_values("train", remedy="Set up data that are not minified for a new model,")
        for argument, value in {"max_epochs": max_epochs, "batch_size": batch_size}.items():
            if value is not None and value < 1:
                raise ValueError(f"`{argument}` is {value}; it must be at least 1.")
        if not kl_weight >= 0:
            raise ValueError(f"`kl_weight` is {kl_weight}; it must be 0 or positive.")
        if not 0.0 <= kl_warmup <= 1.0:
            raise ValueError(f"`kl_warmup` is {kl_warmup}; it must be a fraction of the training in [0, 1].")
        if early_stopping and train_size == 1.0 and not validation_size:
            raise ValueError(
                "`early_stopping` is True, but with `train_size=1.0` there are no validation cells to watch; leave "
                "some out, or set it to False."
            )
        if datamodule is None and self.adata is None:
            raise ValueError("the model has no data of its own to train on; pass `datamodule`.")
        if self.module.level_shrinkage and datamodule is not None and not getattr(datamodule, "n_train", None):
            raise ValueError(
                "`level_shrinkage` weighs a prior against the number of training cells; give `datamodule` that number "
                "as its attribute `n_train`."
            )
        if datamodule is not None and data_device != "auto":
            raise ValueError(
                f"`data_device` is {data_device!r}, but minibatches are those of `datamodule`; leave it at 'auto'."
            )
        if ckpt_path is not None and Path(ckpt_path).is_dir():
            raise ValueError(
                f"`ckpt_path` is {str(ckpt_path)!r}, a folder, as scvi-tools' `SaveCheckpoint` writes them, without an "
                "optimiser. Load it with `CurviVAE.load`, or go on from a file of Lightning's `ModelCheckpoint`."
            )
        if data_device != "auto":
            given = trainer_kwargs.get("datasplitter_kwargs") or {}
            trainer_kwargs["datasplitter_kwargs"] = given | {"data_device": data_device}
        if max_epochs is None and trainer_kwargs.get("max_steps", -1) < 0:
            max_epochs = self._usual_epochs(datamodule)
        plan = self._plan_arguments(plan_kwargs, kl_weight, kl_warmup, lr_schedule)
        self.module.train()  # a loaded model is in evaluation mode
        with warnings.catch_warnings():
            # The host means to leave it out too, but spells it otherwise.
            warnings.filterwarnings("ignore", message="You defined a `validation_step` but have no `val_dataloader`")
            # Its advice on loaders with several workers, which cells on disk have not.
            warnings.filterwarnings("ignore", message="Your `IterableDataset` has `__len__` defined")
            if ckpt_path is not None:
                # It is where the checkpoint lies.
                warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
            if self.module.holds:
                warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode")
            super().train(
                max_epochs=-1 if max_epochs is None else max_epochs,
                accelerator=accelerator,
                devices=devices,
                train_size=train_size,
                validation_size=validation_size,
                shuffle_set_split=shuffle_set_split,
                batch_size=batch_size,
                early_stopping=early_stopping,
                plan_kwargs=plan,
                datamodule=datamodule,
                ckpt_path=ckpt_path,
                **_trainer_arguments(trainer_kwargs),
            )

    def _usual_epochs(self, datamodule: LightningDataModule | None) -> int:
        """The host's rule for the number of epochs."""
        n_obs = getattr(datamodule, "n_obs", None) if datamodule is not None else self.adata.n_obs
        if n_obs is None:
            raise ValueError(
                "`max_epochs` is None, and `datamodule` has no `n_obs` to derive it from; pass `max_epochs`."
            )
        return get_max_epochs_heuristic(n_obs)

    @staticmethod
    def _plan_arguments(
        plan_kwargs: Mapping[str, Any] | None, kl_weight: float, kl_warmup: float, lr_schedule: str
    ) -> dict[str, Any]:
        """The arguments of the training plan."""
        plan = {"max_kl_weight": float(kl_weight), "lr_schedule": lr_schedule} | dict(plan_kwargs or {})
        taken = [name for name in signature(TrainingPlan).parameters if name not in ("module", "loss_kwargs")]
        taken.append("record_steps")
        foreign = [name for name in plan if name not in (*taken, "lr_schedule")]
        if foreign:
            raise ValueError(
                f"`plan_kwargs` has {', '.join(map(repr, foreign))}; the training plan takes {', '.join(taken)}."
            )
        if not {"n_steps_kl_warmup", "n_epochs_kl_warmup"} & plan.keys():
            plan["kl_warmup"] = kl_warmup
        return plan


def _trainer_arguments(given: dict[str, Any]) -> dict[str, Any]:
    """The arguments of the host's trainer, whose list of callbacks is its own to add to.

    Raises
    ------
    ValueError
        If the precision has too few digits.
    """
    arguments = dict(given)
    precision = arguments.get("precision")
    if precision in _TOO_COARSE:
        raise ValueError(
            f"`precision` is {precision!r}, in which the latent space has too few digits; 'bf16-mixed' keeps it in "
            "float32 and computes the networks only in fewer."
        )
    callbacks = arguments.get("callbacks") or []
    arguments["callbacks"] = list(callbacks) if isinstance(callbacks, Sequence) else [callbacks]
    kinds = [type(callback) for callback in arguments["callbacks"] if isinstance(callback, ModelCheckpoint)]
    if kinds and not any(issubclass(kind, SaveCheckpoint) for kind in kinds):
        # True would make the host add a checkpoint of its own.
        arguments.setdefault("enable_checkpointing", None)
    return arguments
