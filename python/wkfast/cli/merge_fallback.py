"""``wkfast merge-fallback`` and ``merge-annotations``: annotations over their fallback layer, as a new dataset."""

from typing import Annotated, Any

import wkfast as wk
from wkfast._lazy import lazy_import
from wkfast.cli.arguments import Argument, Option
from wkfast.cli.console import progress_wanted
from wkfast.cli.executors import Strategy
from wkfast.cli.merge_options import (
    DEFAULT_LINK,
    DEFAULT_MAGS,
    DEFAULT_MISSING,
    DEFAULT_POLICY,
    AnnotationArgument,
    DatasetsArgument,
    DryRunOption,
    JobsOption,
    JsonOption,
    LayerOption,
    LinkOption,
    MagsOption,
    MappingOption,
    MissingOption,
    PolicyOption,
    ProgressOption,
    ResourcesOption,
    RuleOption,
    StrategyOption,
    TargetArgument,
    ThreadsOption,
    VerifyOption,
    WaitOption,
    carry_out,
    mapping_of,
    policy_of,
)
from wkfast.merge.options import MergeOptions

# The package has a function of that name, too.
merging: Any = lazy_import("wkfast.annotation.merge_annotations")


def merge_fallback(
    target: TargetArgument,
    source_annotation: AnnotationArgument,
    dataset_directory: DatasetsArgument,
    *,
    volume_layer_name: LayerOption = None,
    policy: PolicyOption = DEFAULT_POLICY,
    rule: RuleOption = None,
    mags: MagsOption = DEFAULT_MAGS,
    jobs: JobsOption = None,
    distribution_strategy: StrategyOption = Strategy.THREADS,
    job_resources: ResourcesOption = None,
    threads: ThreadsOption = None,
    dry_run: DryRunOption = False,
    verify: VerifyOption = False,
    link: LinkOption = DEFAULT_LINK,
    mapping: MappingOption = None,
    missing: MissingOption = DEFAULT_MISSING,
    wait: WaitOption = 0,
    as_json: JsonOption = False,
    progress: ProgressOption = None,
) -> None:
    """Merge the volume layer of SOURCE_ANNOTATION with its fallback layer and write the result to TARGET."""
    options = MergeOptions(
        policy=policy_of(policy, rule), mags=mags, link=link, mapping=mapping_of(mapping), missing=missing, jobs=jobs,
        threads=threads, dry_run=dry_run, verify=verify, progress=progress_wanted(progress),
    )  # fmt: skip
    annotation = wk.Annotation.load(source_annotation)
    job = annotation.plan_merge(target, dataset_directory, volume_layer_name, options=options)
    carry_out(job, options, distribution_strategy, job_resources, wait=wait, as_json=as_json)


def merge_annotations(
    target: TargetArgument,
    source_annotations: Annotated[
        list[str], Argument("Annotation zips or their addresses; later ones lie over earlier ones.")
    ],
    *,
    dataset_directory: Annotated[str, Option("Folder that holds the annotations' dataset, or its address.")],
    volume_layer_name: LayerOption = None,
    policy: PolicyOption = DEFAULT_POLICY,
    rule: RuleOption = None,
    mags: MagsOption = DEFAULT_MAGS,
    jobs: JobsOption = None,
    distribution_strategy: StrategyOption = Strategy.THREADS,
    job_resources: ResourcesOption = None,
    threads: ThreadsOption = None,
    dry_run: DryRunOption = False,
    verify: VerifyOption = False,
    link: LinkOption = DEFAULT_LINK,
    mapping: MappingOption = None,
    missing: MissingOption = DEFAULT_MISSING,
    wait: WaitOption = 0,
    as_json: JsonOption = False,
    progress: ProgressOption = None,
) -> None:
    """Merge several annotations, in this order, into the fallback layer that all name; count their conflicts."""
    options = MergeOptions(
        policy=policy_of(policy, rule), mags=mags, link=link, mapping=mapping_of(mapping), missing=missing, jobs=jobs,
        threads=threads, dry_run=dry_run, verify=verify, progress=progress_wanted(progress),
    )  # fmt: skip
    job = merging.plan_annotations(source_annotations, target, dataset_directory, volume_layer_name, options=options)
    carry_out(job, options, distribution_strategy, job_resources, wait=wait, as_json=as_json)
