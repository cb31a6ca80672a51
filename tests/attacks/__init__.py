"""Attacks: what one project's server, file, name server or bug does to another project.

`two_projects` (a fixture; on one `bitmill up` for all attacks) has an `attacker` and an `innocent` project, each with a
key, a file server and a webhook receiver on an address of its own. A test measures the innocent alone, starts its
attack, measures again, and compares:

    async def test_a_receiver_that_…(two_projects: TwoProjects) -> None:
        async with two_projects.compared() as comparison:     # measures alone
            ...start the attack and wait until it is under way...
            await comparison.under_attack()                   # measures again, asserts latency and results

One test file for each kind of attack. Every attack ends by itself or with its test, and stays on loopback.
"""
