"""The workspace and the report of a W&B project.

Needs the extra ``wandb`` (the package ``wandb-workspaces``), which is imported by the first call.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from embfact.errors import UserError
from embfact.results.wandb.access import Project, refusal, require_key
from embfact.results.wandb.services import SCATTER
from embfact.results.wandb.sweep import PICTURE, TABLE
from embfact.results.wandb.values import PARAMETERS, RESULT, SCORE

if TYPE_CHECKING:
    from wandb_workspaces.reports.v2 import Report
    from wandb_workspaces.workspaces import Workspace

NAME = "embfact"
STEP = "trainer/global_step"
MOST = 100  # runs in a plot of curves
WIDTH, HEIGHT = 12, 8  # of a panel, in a report of 24 columns
COLUMNS = [
    "run:displayName",
    *(f"config:{name}.value" for name in ("dataset", "backbone", "method", "rank", "storage", "learning_rate", "seed")),
    "config:comparable.value",
    *(f"summary:{name}" for name in ("status", "params/embedding", "params/embedding_ratio", "bytes/embedding")),
    "summary:seconds/total",
    "summary:error",
]
# The last one keeps apart what must not be averaged: runs with the same value differ only in their seed.
GROUPS = ("dataset", "backbone", "method", "repeats")
# Title of a scatter plot -> summary value on its horizontal axis.
SIZES = {
    "embedding parameters": "params/embedding",
    "model parameters": "params/total",
    "embedding bytes": "bytes/embedding",
}


def specification(project: Project, metric: str = SCORE) -> dict[str, Any]:
    """What `save` would send as JSON values, without contacting W&B or needing a key.

    Only ids assigned by W&B are missing.

    Args:
        project: The project.
        metric: Key of the summary value to plot against size, e.g. ``validation/accuracy``.

    Raises:
        UserError: If ``wandb-workspaces`` is not installed.
    """
    _require_package()
    views: dict[str, Any] = {"workspace": _workspace(project, metric), "report": _report(project, metric)}
    # The library has no public API for the request body.
    models = {name: view._to_model() for name, view in views.items()}
    return {name: model.model_dump(mode="json", by_alias=True, exclude_none=True) for name, model in models.items()}


def save(project: Project, metric: str = SCORE) -> tuple[str, str]:
    """Create a workspace view and a report in a project; see `specification`.

    Returns:
        The URLs of the workspace and of the report.

    Raises:
        UserError: If the package or the key is missing, or W&B fails.
    """
    _require_package()
    require_key()
    try:
        # The report first: it looks up the project, so nothing is created if that does not exist.
        report = _report(project, metric, located=True).save()
        return _workspace(project, metric).save().url, report.url
    except Exception as error:  # W&B errors have no common class
        raise refusal(project, error) from error


def _require_package() -> None:
    if find_spec("wandb_workspaces") is None:
        raise UserError('the package wandb-workspaces is missing; pip install "embfact[wandb]"')
    os.environ.setdefault("WANDB_SILENT", "true")


def _workspace(project: Project, metric: str) -> Workspace:
    import wandb_workspaces.workspaces as ws
    from wandb_workspaces import expr

    against_size = [*_results(), *_scatters(metric)]
    sections = {"Accuracy against size": against_size, "Factors": _factors(metric), "Learning curves": _curves()}
    return ws.Workspace(
        entity=project.entity,
        project=project.name,
        name=NAME,
        sections=[ws.Section(name=name, panels=panels, is_open=True) for name, panels in sections.items()],
        settings=ws.WorkspaceSettings(x_axis=STEP, max_runs=MOST),
        runset_settings=ws.RunsetSettings(
            groupby=[expr.Config(name) for name in GROUPS], pinned_columns=[*COLUMNS, f"summary:{metric}"]
        ),
        auto_generate_panels=True,  # the pictures of sweeps with several backbones or data sets
    )


def _report(project: Project, metric: str, *, located: bool = False) -> Report:
    import wandb_workspaces.reports.v2 as wr

    runs = wr.Runset(name="runs", visible_columns=[*COLUMNS, f"summary:{metric}"], lock_columns=True)
    if located:
        runs.entity, runs.project = project.entity, project.name
    panels = [*_results(), *_scatters(metric), *_factors(metric), *_curves()]
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
                "Each point is one run; embfact tables of the same runs have means and intervals over seeds. Only runs "
                "with the same value of comparable are comparable: they have the same data and options except for the "
                "method and its size. A failed run has no score; the table below the plots gives the reason."
            ),
            wr.PanelGrid(runsets=[runs], panels=panels),
        ],
    )


def _results() -> list[Any]:
    """The lines that runs and sweeps log: a chart of every run, and picture and table of a sweep."""
    import wandb_workspaces.reports.v2 as wr

    return [
        wr.CustomChart(
            query={"summaryTable": {"tableKey": f"{RESULT}_table"}},
            chart_name=SCATTER,
            chart_fields={"x": PARAMETERS, "y": SCORE},
            chart_strings={"title": f"{SCORE} against {PARAMETERS}"},
        ),
        wr.MediaBrowser(title="Pareto picture of the sweep", media_keys=[PICTURE]),
        wr.WeavePanelSummaryTable(table_name=TABLE),
    ]


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

    names = ("dataset", "backbone", "comparable", "method", "rank", "learning_rate", "seed")
    factors: list[Any] = [wr.Config(name) for name in names]
    figures = [wr.SummaryMetric(name) for name in ("params/embedding_ratio", metric)]
    columns = [wr.ParallelCoordinatesPlotColumn(metric=one) for one in [*factors, *figures]]
    return [
        wr.ParallelCoordinatesPlot(title="method, rank, learning rate and seed", columns=columns),
        wr.ParameterImportancePlot(with_respect_to=metric),
    ]


def _curves() -> list[Any]:
    import wandb_workspaces.reports.v2 as wr

    return [
        wr.LinePlot(title="training loss", x=STEP, y=["train/loss"], max_runs_to_show=MOST),
        wr.LinePlot(title="on the held-out slice", x=STEP, metric_regex="selection/.*", max_runs_to_show=MOST),
    ]
