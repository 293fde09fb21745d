"""Stages that control calls: as machine code where there is some, and without looking for it at each call."""
from lab.engine.code import objects
from lab.engine.core import Engine
from lab.stages.enter import enter


def test_machine_code_is_looked_for_once_while_there_is_none(monkeypatch):
    asked = []
    monkeypatch.setattr(objects, "ready", lambda stage: asked.append(stage.name))
    engine = Engine()
    for _ in range(3):
        engine.perform(enter)
    assert asked == ["enter"]
    engine.pipeline.loaded = True
    engine.perform(enter)
    engine.perform(enter)
    assert asked == ["enter", "enter"], "once more when the pipeline has made some"
