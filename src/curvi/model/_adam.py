"""Adam on the processor: the steps of torch, one call for all parameters, and next to nothing around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.optim import Optimizer
from torch.optim import optimizer as every_optimizer

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


class _OneCall(Optimizer):
    """What torch's fused optimisers do to dense parameters on the processor, number for number, at less cost.

    The counts of steps of a group are the places of one tensor, so that one addition moves them all. Whatever is
    unusual (hooks, a parameter without gradient, sparse gradients, other devices, options that the call does not
    take) has torch's own step.
    """

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Run the closure, if there is one, and then move all parameters; returns what the closure returned."""
        if self._has_hooks():
            return self._usual_step(closure)
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if getattr(self, "grad_scale", None) is None and all(map(self._suits, self.param_groups)):
            with torch.no_grad():
                for group in self.param_groups:
                    self._move(group)
        else:
            self._usual_step(None)
        return loss

    # Torch puts a wrapper, which runs the hooks, around the step of every class without this mark.
    step.hooked = True  # type: ignore[attr-defined]

    def _has_hooks(self) -> bool:
        """Whether something is to be called before or after each step."""
        own = self._optimizer_step_pre_hooks or self._optimizer_step_post_hooks
        return bool(own or every_optimizer._global_optimizer_pre_hooks or every_optimizer._global_optimizer_post_hooks)

    def _usual_step(self, closure: Callable[[], Any] | None) -> Any:
        """The step of torch, with its hooks."""
        step = super().step
        if hasattr(step, "hooked"):
            return step(closure)
        return Optimizer.profile_hook_step(type(self)._step_without_hooks)(self, closure)

    def _step_without_hooks(self, closure: Callable[[], Any] | None) -> Any:
        return super().step(closure)

    def _suits(self, group: dict[str, Any]) -> bool:
        """Whether the parameters of a group can be moved by one call, as they were before."""
        parameters = group["params"]
        if not parameters or not group["fused"] or group["amsgrad"] or group["capturable"] or group["differentiable"]:
            return False
        for parameter in parameters:
            gradient = parameter.grad
            if gradient is None or gradient.is_sparse or not gradient.is_cpu or not self.state.get(parameter):
                return False
        return len({parameter.dtype for parameter in parameters}) == 1

    def _move(self, group: dict[str, Any]) -> None:
        """Move the parameters of a group."""
        parameters = group["params"]
        states = [self.state[parameter] for parameter in parameters]
        _one_tensor(states).add_(1)
        beta1, beta2 = group["betas"]
        # Before this option the class said it.
        decoupled = group.get("decoupled_weight_decay", isinstance(self, torch.optim.AdamW))
        call = torch._fused_adamw_ if decoupled else torch._fused_adam_
        call(
            parameters,
            [parameter.grad for parameter in parameters],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            lr=group["lr"],
            beta1=beta1,
            beta2=beta2,
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            amsgrad=False,
            maximize=group["maximize"],
            grad_scale=None,
            found_inf=None,
        )

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Let go of the gradients, or make them zero."""
        if not set_to_none:
            super().zero_grad(set_to_none)
            return
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None


def _one_tensor(states: list[dict[str, Tensor]]) -> Tensor:
    """The counts of steps of some parameters as one tensor, of which that of each parameter is a place."""
    counts = [state["step"] for state in states]
    whole = counts[0]._base
    if whole is None or whole.numel() != len(counts) or any(count._base is not whole for count in counts):
        whole = torch.stack(counts)
        for place, state in enumerate(states):
            state["step"] = whole[place]
    return whole


# Learning rates are logged under the names of the classes.
class Adam(_OneCall, torch.optim.Adam):
    """:class:`torch.optim.Adam`, whose steps on the processor cost less."""


class AdamW(_OneCall, torch.optim.AdamW):
    """:class:`torch.optim.AdamW`, whose steps on the processor cost less."""
