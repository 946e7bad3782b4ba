import type { Command } from 'commander'

/** The subcommand group, made by whoever registers first. */
export function group(program: Command, name: string, description: string): Command {
  return program.commands.find((command) => command.name() === name) ?? program.command(name).description(description)
}
