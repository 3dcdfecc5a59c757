"""WHAT CAN BE CONFIGURED, and how a file and its overrides become one checked `Config`.

`sections.py` and `evolution.py` hold the strict sections, `reading.py` reads them.
"""

from league.config.evolution import (
    EvolutionConfig,
    ExploitersConfig,
    MergingConfig,
    PbtConfig,
    RetirementConfig,
    SnapshotsConfig,
)
from league.config.reading import ParseResult, load_config, parse_config, try_load_config, try_parse_config
from league.config.sections import (
    AdapterConfig,
    AgentConfig,
    AlarmConfig,
    AlarmsConfig,
    Config,
    DomainConfig,
    EvaluationConfig,
    LeagueConfig,
    LearningConfig,
    ModelConfig,
    RemoteConfig,
    SituationConfig,
    TaskConfig,
    VersionMatchesConfig,
    WarmupConfig,
    WarmupPhase,
)

__all__ = [
    "AdapterConfig",
    "AgentConfig",
    "AlarmConfig",
    "AlarmsConfig",
    "Config",
    "DomainConfig",
    "ParseResult",
    "EvaluationConfig",
    "EvolutionConfig",
    "ExploitersConfig",
    "LeagueConfig",
    "LearningConfig",
    "MergingConfig",
    "ModelConfig",
    "PbtConfig",
    "RemoteConfig",
    "RetirementConfig",
    "SituationConfig",
    "SnapshotsConfig",
    "TaskConfig",
    "VersionMatchesConfig",
    "WarmupConfig",
    "WarmupPhase",
    "try_parse_config",
    "load_config",
    "try_load_config",
    "parse_config",
]
