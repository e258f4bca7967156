"""The main experiment on synthetic faces, with nothing to download."""

from prefiqs_jax.demo.run import DemoReport, demo, is_demo, report_demo
from prefiqs_jax.demo.settings import DemoSettings

__all__ = ["DemoReport", "DemoSettings", "demo", "is_demo", "report_demo"]
