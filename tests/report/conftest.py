import pytest

from secateur.core.report import CompressionReport, Latency, Measurement, Width


def latency(p50, runtime="torch"):
    return Latency(runtime, p50, 1.2 * p50, "cpu", 1, 4, 1234)


@pytest.fixture
def report():
    before = Measurement(
        2_293_000,
        431_080,
        431_080,
        1_724_920,
        (latency(0.32), latency(0.1, "onnxruntime")),
        {"top1": 0.9908, "psnr": 31.5},
    )
    after = Measurement(
        559_268, 100_000, 99_000, 401_000, (latency(0.1), latency(0.2, "onnxruntime")), {"top1": 0.9903, "psnr": 30.25}
    )
    control = Measurement(559_268, 100_000, 100_000, 401_000, (), {"top1": 0.97})
    return CompressionReport(
        before=before,
        after=after,
        widths=(
            Width("conv1", 20, 12, asked=0.621),
            Width("conv2 <script>alert(1)</script>", 50, 20),
            Width("fc1", 500, 500, frozen=True),
            Width("fc2", 10, 10, "is an output of the model"),
        ),
        budget="0.25 macs",
        reached=0.2439,
        equivalence=3.1e-7,
        plan_digest="abc123",
        recipe="Recipe(criterion=Taylor(), repair=(A(1, 2), B()))",
        papers=("Molchanov et al., Importance Estimation, CVPR 2019. arXiv:1906.10771",),
        unknown_ops={"aten.roll": 2},
        environment={"torch": "2.13.0", "processor": "Abacus | <b>9000</b>"},
        controls={"random channels": control},
    )
