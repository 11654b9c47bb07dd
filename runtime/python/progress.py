"""Progress bars without the helper thread they would complain about not having."""


def apply(module):
    module.tqdm.monitor_interval = 0
