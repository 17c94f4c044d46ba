import multiprocessing

import torch
import torch.distributed as dist

from vae_exp.objective.free_bits import kl_with_free_bits

LEAST = 0.3


def kl(rows):
    """Three latents: one carries less than λ, one more, and one less in the first rows and more over all."""
    generator = torch.Generator().manual_seed(0)
    values = torch.rand(rows, 3, generator=generator, dtype=torch.float64) * torch.tensor([0.2, 3.0, 0.01])
    values[rows // 2 :, 2] += 1.0
    return values


def test_its_mean_is_the_sum_of_the_larger_of_the_mean_and_lambda():
    values = kl(10).requires_grad_()
    loss = kl_with_free_bits(values, LEAST).mean()
    torch.testing.assert_close(loss, values.mean(0).clamp(min=LEAST).sum())
    loss.backward()
    torch.testing.assert_close(values.grad[0], torch.tensor([0.0, 0.1, 0.1], dtype=torch.float64), rtol=0, atol=1e-15)


def in_a_process(rank, folder, shares):
    dist.init_process_group("gloo", f"file://{folder}/meeting", world_size=2, rank=rank)
    shares[rank] = kl_with_free_bits(kl(9)[rank::2], LEAST).sum().item()
    dist.destroy_process_group()


def test_two_processes_take_the_mean_over_the_whole_minibatch(tmp_path):
    context = multiprocessing.get_context("fork")
    shares = context.Array("d", 2)
    processes = [context.Process(target=in_a_process, args=(rank, tmp_path, shares)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    torch.testing.assert_close(torch.tensor([*shares]).sum() / 9, kl_with_free_bits(kl(9), LEAST).mean().float())
