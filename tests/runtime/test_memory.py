import psutil
import pytest

from srcnn_lib.errors import InputError
from srcnn_lib.runtime import distributed, memory


def test_available_memory_is_shared_by_the_processes_on_one_machine(monkeypatch):
    alone = memory.available()
    assert 0 < alone <= psutil.virtual_memory().total
    monkeypatch.setattr(distributed, "processes_on_this_machine", lambda: 4)
    assert memory.available() == pytest.approx(alone / 4, rel=0.2)


def test_an_operation_that_does_not_fit_is_refused_with_both_sizes_and_the_way_out(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 2**30)
    assert memory.fits(0.9 * 2**30)
    memory.check("bird.png", 0.9 * 2**30, "use a smaller scale")
    with pytest.raises(InputError) as error:
        memory.check("bird.png", 2**31, "use a smaller scale")
    message = str(error.value)
    assert message == "bird.png would take some 2.0 GB of memory, 1.0 GB are free; use a smaller scale"
