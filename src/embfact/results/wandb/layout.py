"""The workspace and the report of a W&B project.

Needs the extra ``wandb`` (the package ``wandb-workspaces``), which is imported with the first call.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from embfact.errors import UserError
from embfact.results.wandb.access import Project, refusal, require_key
from embfact.results.wandb.values import SCORE

if TYPE_CHECKING:
    from wandb_workspaces.reports.v2 import Report
    from wandb_workspaces.workspaces import Workspace

NAME = "embfact"
STEP = "trainer/global_step"
MOST = 100  # runs in a plot of curves
WIDTH, HEIGHT = 12, 8  # of a panel, in the 24 columns of a report
COLUMNS = [
    "run:displayName",
    *(f"config:{name}.value" for name in ("dataset", "backbone", "method", "rank", "storage", "comparable", "seed")),
    *(f"summary:{name}" for name in ("status", "params/embedding", "params/embedding_ratio", "bytes/embedding")),
    "summary:seconds/total",
    "summary:error",
]
# Title of a scatter plot, and the summary value that it has on its horizontal axis.
SIZES = {
    "embedding parameters": "params/embedding",
    "model parameters": "params/total",
    "embedding bytes": "bytes/embedding",
}


def specification(project: Project, metric: str = SCORE) -> dict[str, Any]:
    """What `save` would send, as JSON values; nothing is asked of W&B and no key is needed.

    Only what W&B gives out itself is missing: the ids of the views, and in the report that of the project.

    Args:
        project: The project.
        metric: Key of the summary value that sizes are held against, e.g. ``validation/accuracy``.

    Raises:
        UserError: If ``wandb-workspaces`` is not installed.
    """
    _require_package()
    views: dict[str, Any] = {"workspace": _workspace(project, metric), "report": _report(project, metric)}
    # The library has no public name for what it would send.
    models = {name: view._to_model() for name, view in views.items()}
    return {name: model.model_dump(mode="json", by_alias=True, exclude_none=True) for name, model in models.items()}


def save(project: Project, metric: str = SCORE) -> tuple[str, str]:
    """Make a new workspace view and a new report in a project.

    Args:
        project: The project.
        metric: Key of the summary value that sizes are held against.

    Returns:
        The addresses of the workspace and of the report.

    Raises:
        UserError: In words, if the package or the key is missing, or if W&B does not take them.
    """
    _require_package()
    require_key()
    try:
        # First the report: it asks W&B for the project, and nothing is made if that is not there.
        report = _report(project, metric, located=True).save()
        return _workspace(project, metric).save().url, report.url
    except Exception as error:  # W&B's errors have no common class
        raise refusal(project, error) from error


def _require_package() -> None:
    if find_spec("wandb_workspaces") is None:
        raise UserError('the package wandb-workspaces is missing; pip install "embfact[wandb]"')
    os.environ.setdefault("WANDB_SILENT", "true")


def _workspace(project: Project, metric: str) -> Workspace:
    import wandb_workspaces.workspaces as ws

    sections = {"Accuracy against size": _scatters(metric), "Factors": _factors(metric), "Learning curves": _curves()}
    return ws.Workspace(
        entity=project.entity,
        project=project.name,
        name=NAME,
        sections=[ws.Section(name=name, panels=panels, is_open=True) for name, panels in sections.items()],
        settings=ws.WorkspaceSettings(x_axis=STEP, max_runs=MOST),
        runset_settings=ws.RunsetSettings(pinned_columns=[*COLUMNS, f"summary:{metric}"]),
    )


def _report(project: Project, metric: str, *, located: bool = False) -> Report:
    import wandb_workspaces.reports.v2 as wr

    runs = wr.Runset(name="runs", visible_columns=[*COLUMNS, f"summary:{metric}"], lock_columns=True)
    if located:
        runs.entity, runs.project = project.entity, project.name
    panels = [*_scatters(metric), *_factors(metric), *_curves()]
    for number, panel in enumerate(panels):
        row, column = divmod(number, 2)
        panel.layout = wr.Layout(x=column * WIDTH, y=row * HEIGHT, w=WIDTH, h=HEIGHT)
    return wr.Report(
        entity=project.entity,
        project=project.name,
        title=f"{NAME}: {project.name}",
        description=f"{metric} of every run against the size of its embedding, by method, rank and seed.",
        width="fluid",
        blocks=[
            wr.P(
                "One point is one run: means and intervals over seeds are in the tables that embfact makes of the "
                "same runs. Only runs of one value of comparable may be compared: they have the same data and options "
                "but for the method and its size. A run that failed has no score; the table below the plots says why."
            ),
            wr.PanelGrid(runsets=[runs], panels=panels),
        ],
    )


def _scatters(metric: str) -> list[Any]:
    import wandb_workspaces.reports.v2 as wr

    return [
        wr.ScatterPlot(
            title=f"{metric} against {title}",
            x=wr.SummaryMetric(size),
            y=wr.SummaryMetric(metric),
            log_x=True,
        )
        for title, size in SIZES.items()
    ]


def _factors(metric: str) -> list[Any]:
    import wandb_workspaces.reports.v2 as wr

    factors: list[Any] = [wr.Config(name) for name in ("dataset", "comparable", "method", "rank", "seed")]
    figures = [wr.SummaryMetric(name) for name in ("params/embedding_ratio", metric)]
    columns = [wr.ParallelCoordinatesPlotColumn(metric=one) for one in [*factors, *figures]]
    return [wr.ParallelCoordinatesPlot(title="method, rank and seed", columns=columns)]


def _curves() -> list[Any]:
    import wandb_workspaces.reports.v2 as wr

    return [
        wr.LinePlot(title="training loss", x=STEP, y=["train/loss"], max_runs_to_show=MOST),
        wr.LinePlot(title="on the held-out slice", x=STEP, metric_regex="selection/.*", max_runs_to_show=MOST),
    ]
