"""Bad options, commands and places: exit status 2, one message that names the option, and nothing written."""

import shlex
from pathlib import Path

import pytest
from cli import everything_in, pinnkit

TINY = Path(__file__).parents[1] / "tiny.py"

# What is typed behind `pinnkit train tiny.py`, and words of the first line of the message.
# fmt: off
OPTIONS = {
    '--problem.kk 3': "There is no option '--problem.kk'",
    '--problem.K 3': "There is no option '--problem.K'",
    '--problem 3': "There is no option '--problem'",
    '--problem.k': '--problem.k has no value',
    '--problem.k abc': "--problem.k is 'abc'",
    '--problem.k nan': "The parameter 'k' of Decay is nan",
    '--problem.k 1,5': "--problem.k is '1,5'",
    '--problem.k 1 2': "'2' is one word too many",
    '--problem.k=': "--problem.k is ''",
    '--k 3': "There is no option '--k'",
    '-k 3': "There is no option '-k'",
    'k=3': "'k=3' is one word too many",
    '3': "'3' is one word too many",
    '--seed': '--seed has no value',
    '--seed one': "--seed is 'one'",
    '--seed 1.5': "--seed is '1.5'",
    '--seed -1': 'seed is -1',
    '--seed 9223372036854775808': 'seed is 9223372036854775808',
    '--seed 1e3': "--seed is '1e3'",
    '--sed 3': "There is no option '--sed'",
    '--accuracy 0': 'accuracy is 0.0',
    '--accuracy -1': 'accuracy is -1.0',
    '--accuracy inf': 'accuracy is inf',
    '--accuracy nan': 'accuracy is nan',
    '--accuracy abc': "--accuracy is 'abc'",
    '--accuracy': '--accuracy has no value',
    '--acuracy 1e-4': "There is no option '--acuracy'",
    '--precision float8': "--precision is 'float8'",
    '--precision': '--precision has no value',
    '--precision 64': "--precision is '64'",
    '--precision double': "--precision is 'double'",
    '--windows 0': 'windows is 0',
    '--windows -2': 'windows is -2',
    '--windows 2.5': "--windows is '2.5'",
    '--windows two': "--windows is 'two'",
    '--windows 2': 'Time cannot be cut into windows: the problem has no time tha',
    '--gradients -1': 'gradients is -1',
    '--gradients often': "--gradients is 'often'",
    '--model': '--model names no network',
    '--model cnn': "There is no model called 'cnn'",
    '--model mpl': "There is no model called 'mpl'",
    '--model mlp resnet': "'resnet' is one word too many",
    '--model autoencoder': 'Autoencoder is no network of fields at points',
    '--model.widht 3': "There is no option '--model.widht'",
    '--model.width 0': 'MLP.width is 0',
    '--model.width -4': 'MLP.width is -4',
    '--model.width 3.5': "--model.width is '3.5'",
    '--model.width many': "--model.width is 'many'",
    '--model.width': '--model.width has no value',
    '--model.width 1000000000000': 'would take about',
    '--model.depth 0': 'MLP.depth is 0',
    '--model.depth 1000000000': 'MLP.depth is 1000000000',
    '--model.activation tahn': "There is no activation called 'tahn'",
    '--model.activation': '--model.activation has no value',
    '--model.init xavier': "--model.init is 'xavier'",
    '--model.gain values': "--model.gain is 'values'",
    '--model.parametrisation nkt': "--model.parametrisation is 'nkt'",
    '--model.keep 0': 'MLP.keep is 0.0',
    '--model.keep 2': 'MLP.keep is 2.0',
    '--model.keep half': "--model.keep is 'half'",
    '--model.init_scale -1': 'MLP.init_scale is -1.0',
    '--model.init_scale nan': 'MLP.init_scale is nan',
    '--model.fourier_features -1': 'MLP.fourier_features is -1',
    '--model.fourier_scale 0': 'MLP.fourier_scale is 0.0',
    '--model.fourier_features 1000000000000': 'would take about',
    '--model piratenet --model.width 7': 'PirateNet.width is 7',
    '--model piratenet --model.fourier_features 3': "There is no option '--model.fourier_features'",
    '--model transformer --model.heads 3': 'Transformer.width is 32',
    '--model transformer --model.step 0': 'Transformer.step is 0.0',
    '--model transformer --model.attention sharp': "--model.attention is 'sharp'",
    '--model transformer --model.width 10000000': 'would take about',
    '--stages': '--stages names no optimiser',
    '--stages adm': "There is no optimiser 'adm'",
    '--stages adam,lbfs': "There is no optimiser 'lbfs'",
    '--stages Adam': "There is no optimiser 'Adam'",
    '--stages none': "There is no optimiser 'none'",
    '--stage adam': "There is no option '--stage'",
    '--lbfgs.steps 3': "'--lbfgs.steps' sets an optimiser that is not used",
    '--ssbroyden.steps 3': "'--ssbroyden.steps' sets an optimiser that is not used",
    '--adam': "There is no option '--adam'",
    '--adam 3': "There is no option '--adam'",
    '--adam.steps': '--adam.steps has no value',
    '--adam.steps -1': 'adam.steps is -1',
    '--adam.steps 1.5': "--adam.steps is '1.5'",
    '--adam.steps 1e4': "--adam.steps is '1e4'",
    '--adam.steps ten': "--adam.steps is 'ten'",
    '--adam.stps 3': "There is no option '--adam.stps'",
    '--adam.patience -1': 'adam.patience is -1',
    '--adam.learning_rate 0': 'adam.learning_rate is 0.0',
    '--adam.learning_rate fast': "--adam.learning_rate is 'fast'",
    '--adam.learning_rate inf': 'adam.learning_rate is inf',
    '--adam.schedule linear': "--adam.schedule is 'linear'",
    '--adam.warmup -1': 'adam.warmup is -1',
    '--adam.loss_below -1': 'adam.loss_below is -1.0',
    '--adam2.steps 3': "There is no option '--adam2.steps'",
    '--stages lbfgs --lbfgs.memory 0': 'lbfgs.memory is 0',
    '--stages lbfgs --lbfgs.memory 10000000000': 'would take about',
    '--stages soap --soap.every 0': 'soap.every is 0',
    '--stages ssbroyden --ssbroyden.variant dfp': "--ssbroyden.variant is 'dfp'",
    '--stages lm --lm.form qr': "--lm.form is 'qr'",
    '--stages lm --lm.max_trials 0': 'lm.max_trials is 0',
    '--stages lm --lm.initial_damping 0': 'lm.initial_damping is 0.0',
    '--stages lm --lm.corrections -1': 'lm.corrections is -1',
    '--stages spring --spring.rows 0': 'spring.rows is 0',
    '--stages spring --spring.momentum 1': 'spring.momentum is 1.0',
    '--stages auto --soap.steps 3': "'--soap.steps' sets an optimiser that is not used",
    '--stages auto --ssbroyden.stps 3': "There is no option '--ssbroyden.stps'",
    '--stages auto --auto.steps -1': 'auto.steps is -1',
    '--stages lbfgs --precision float16': "The stage 'lbfgs' needs more digits than float16 has",
    '--stages ssbroyden --model.width 200 --model.depth 3': 'The inverse Hessian of 81001 parameters takes',
    '--sampling.interior 0': 'sampling.interior is 0',
    '--sampling.interior -5': 'sampling.interior is -5',
    '--sampling.interior 10.5': "--sampling.interior is '10.5'",
    '--sampling.interior 1e3': "--sampling.interior is '1e3'",
    '--sampling.interior many': "--sampling.interior is 'many'",
    '--sampling.interior 1000000000': 'would take about',
    '--sampling.interior 1000000000000000': 'would take about',
    '--sampling.initial 0': 'sampling.initial is 0',
    '--sampling.redraw -1': 'sampling.redraw is -1',
    '--sampling.redraw never': "--sampling.redraw is 'never'",
    '--sampling.adaptive 2': 'sampling.adaptive is 2.0',
    '--sampling.adaptive nan': 'sampling.adaptive is nan',
    '--sampling.method rar': "--sampling.method is 'rar'",
    '--sampling.density gauss': "--sampling.density is 'gauss'",
    '--sampling 5': "There is no option '--sampling'",
    '--samplings.interior 5': "There is no option '--samplings.interior'",
    '--weights.start -1': "The weight of 'start' is -1.0",
    '--weights.start 0': "The weight of 'start' is 0.0",
    '--weights.start inf': "The weight of 'start' is inf",
    '--weights.start much': "--weights.start is 'much'",
    '--weights.strat 2': "There is no option '--weights.strat'",
    '--weights 2': "There is no option '--weights'",
    '--weighting': '--weighting names no weighting',
    '--weighting nkt': "There is no weighting 'nkt'",
    '--weighting ntk ntk': "--weighting names 'ntk' twice",
    '--weighting causality causality': "--weighting names 'causality' twice",
    '--weighting none ntk': "--weighting has 'none' beside others",
    '--weighting causality': "Causal weights follow time, and Decay has no axis 't'",
    '--ntk.every 5': "'--ntk.every' sets a weighting that is not used",
    '--weighting ntk --ntk.every -1': 'ntk.every is -1',
    '--weighting ntk --ntk.memory 1': 'ntk.memory is 1.0',
    '--weighting ntk --ntk.rows 0': 'ntk.rows is 0',
    '--weighting residual_attention --residual_attention.rate 0': 'residual_attention.rate is 0.0',
    '--weighting self_adaptive --self_adaptive.per face': "--self_adaptive.per is 'face'",
    '--weighting variational_attention --variational_attention.sharpness 1000': 'variational_attention.sharpness is 1000.0',
    '--weighting causality --causality.slices 1000000000': 'causality.slices is 1000000000, and sampling.interior is 32',
    '--weighting causality --causality.slices 1': 'causality.slices is 1',
    '--curriculum.multiples 0.1': "There is no option '--curriculum.multiples'",
    '--out': '--out has no value',
    '--out taken': "The output folder 'taken' is not empty",
    '--out tiny.py': "'tiny.py' is a file",
    '--optimizer adam': "There is no option '--optimizer'",
    '--lr 1e-3': "There is no option '--lr'",
    '--epochs 100': "There is no option '--epochs'",
    '--epochs=100': "There is no option '--epochs'",
    '--gpu': "There is no option '--gpu'",
    '--verbose': "There is no option '--verbose'",
}
# Whole commands, in a folder with tiny.py, notes.txt, a rod.py without a problem, and a folder called taken.
COMMANDS = {
    'train tiny.py:Rod': "There is no problem class 'Rod'",
    'train': 'pinnkit train needs a problem first',
    'train --seed 1 tiny.py': 'pinnkit train needs a problem first',
    'train advecton': "There is no problem named 'advecton'",
    'train nowhere/rod.py': "There is no problem file 'nowhere/rod.py'",
    'train taken': "There is no problem named 'taken'",
    'train taken/': "There is no problem named 'taken/'",
    'train notes.txt': "There is no problem named 'notes.txt'",
    'train rod.py': 'The file defines no problem',
    'train .': "There is no problem named '.'",
    'train ""': "There is no problem named ''",
    'train tiny': "There is no problem named 'tiny'",
    'train TINY.py': "There is no problem file 'TINY.py'",
    'trian tiny.py': "There is no command 'trian'",
    'check': 'pinnkit check needs a problem first',
    'check tiny.py --seed one': "--seed is 'one'",
    'check tiny.py tiny.py': "'tiny.py' is one word too many",
    'diagnose': 'pinnkit diagnose needs a problem first',
    'diagnose tiny.py --draws 1': 'draws is 1',
    'diagnose tiny.py --widths 8': 'widths are (8,)',
    'diagnose tiny.py --widths 8 1': 'a width is 1',
    'diagnose tiny.py --rows 0': 'rows is 0',
    'diagnose tiny.py --points none': "--points is 'none'",
    'diagnose tiny.py --out taken': "The output folder 'taken' is not empty",
    'resume': 'pinnkit resume takes one RUN',
    'resume nowhere': "There is no run folder 'nowhere'",
    'resume taken': 'The run folder is damaged',
    'resume a b': 'pinnkit resume takes one RUN',
    'resume tiny.py': "There is no run folder 'tiny.py'",
    'show': 'pinnkit show takes one RUN [--gradients]',
    'show nowhere': "There is no run folder 'nowhere'",
    'show taken': 'The run folder is damaged',
    'show --gradients': 'pinnkit show takes one RUN [--gradients]',
    'show a b': 'pinnkit show takes one RUN [--gradients]',
    'prune': 'pinnkit prune needs a RUN',
    'prune nowhere': "There is no run folder 'nowhere'",
    'prune taken --keep 0': 'The run folder is damaged',
    'prune --keep 0.5': "There is no run folder '0.5'",
    'prune taken --kep 0.5': "There is no option '--kep'",
    'prune taken --keep half': "--keep is 'half'",
    'export': 'pinnkit export needs a RUN',
    'export nowhere': "There is no run folder 'nowhere'",
    'export taken --int7': "There is no option '--int7'",
    'export taken --int8 yes': "'yes' is one word too many",
    'list runs': "'runs' is one word too many",
    'list --all': "'--all' is one word too many",
    'new': 'pinnkit new takes one NAME',
    'new my rod': 'pinnkit new takes one NAME',
    'new _rod': "'_rod' cannot name a problem",
    'new 2rod': "'2rod' cannot name a problem",
    'new rod.txt': "'rod.txt' cannot name a problem",
    'new taken/rod': "'taken/rod' cannot name a problem",
    'new ../rod': "'../rod' cannot name a problem",
    'new -x': 'pinnkit new takes one NAME',
    'version': "There is no command 'version'",
    '--verison': "There is no command '--verison'",
    '-x': "There is no command '-x'",
}
# fmt: on
CASES = {f"train tiny.py {options}": words for options, words in OPTIONS.items()} | COMMANDS


@pytest.fixture
def place(tmp_path):
    """A folder that holds a problem, and things that are none."""
    (tmp_path / "tiny.py").write_text(TINY.read_text())
    (tmp_path / "rod.py").write_text("x = 1\n")
    (tmp_path / "notes.txt").write_text("precious")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.tex").write_text("precious")
    return tmp_path


@pytest.mark.parametrize("line", CASES)
def test_a_bad_command_has_one_message_and_leaves_nothing_behind(line, place):
    before = everything_in(place)
    status, out, err = pinnkit(*shlex.split(line), folder=place)
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert CASES[line] in err.splitlines()[0], err
    assert [part.split(":")[0].strip() for part in err.splitlines()[1:] if part.startswith("  ")] == [
        "where",
        "expected",
        "do",
    ], err
    assert "Traceback" not in err and "─" not in err
    assert everything_in(place) == before


def test_there_are_as_many_mistakes_as_were_tried_by_hand():
    assert len(CASES) >= 120


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ("--problem.kk 3", "Did you mean '--problem.k'?"),
        ("--model.widht 3", "Did you mean '--model.width'"),
        ("--adam.stps 3", "Did you mean '--adam.steps'"),
        ("--steps 3", "Did you mean '--adam.steps'?"),
        ("--epochs 3", "Did you mean '--adam.steps'?"),
        ("--lr 1e-3", "Did you mean '--adam.learning_rate'?"),
        ("--optimizer adam", "Did you mean '--stages'?"),
        ("--width 3", "Did you mean '--model.width'?"),
        ("--weighting ntk ntk", "Write --weighting ntk."),
        ("--sampling.interior 0", "Use 1."),
        ("--seed -1", "Use 0."),
        ("--lbfgs.steps 3", "Choose it by name: --stages adam lbfgs."),
        ("--stages auto --lbfgs.steps 3", "Choose it by name: --stages lbfgs."),
    ],
)
def test_what_to_do_can_be_copied(options, advice, place):
    _, _, err = pinnkit("train", "tiny.py", *shlex.split(options), folder=place)
    assert advice in err.splitlines()[-1]


def test_an_unknown_option_lists_those_of_its_group(place):
    _, _, err = pinnkit("train", "tiny.py", "--problem.alpha", "0.3", folder=place)
    assert "expected: one of --problem.k\n" in err


def test_a_number_of_points_that_would_fit_is_named(place):
    _, _, err = pinnkit("train", "tiny.py", "--sampling.interior", "1000000000000", folder=place)
    count = int(err.splitlines()[-1].split()[-1].rstrip("."))
    assert 10**4 < count < 10**12
    assert err.splitlines()[-1].endswith(f"Use --sampling.interior {count}.")


@pytest.mark.long
@pytest.mark.parametrize(
    "options",
    ["", "--", "--seed=3", "--problem.k=2", "--stages adam,lbfgs", "--stages adam adam --adam2.steps 3", "--model MLP",
     "--stages auto --ssbroyden.steps 6000", "--precision float32", "--weights.start 1e3", "--weighting none",
     "--sampling.redraw 0", "--model.fourier-features 3"],
)  # fmt: skip
def test_what_is_right_is_accepted(options, place):
    status, _, err = pinnkit("check", "tiny.py", *shlex.split(options), folder=place)
    assert (status, err) == (0, "")
