/** The program `farebox`: one file per command, each of which registers itself. */
import { Command, CommanderError } from 'commander'
import { registerAudit } from './audit.ts'
import { registerCompletion } from './completion.ts'
import { registerConfig } from './config.ts'
import { registerDoctor } from './doctor.ts'
import { registerDown } from './down.ts'
import { registerEvents } from './events.ts'
import { examplesText } from './examples.ts'
import { EXIT, type ExitCode, type RegisterCommand } from './frame.ts'
import { registerLoadBalancer } from './loadbalancer.ts'
import { registerLogs } from './logs.ts'
import { registerKey } from './key.ts'
import { registerNode } from './node.ts'
import { registerNodes } from './nodes.ts'
import { registerOrder, registerOrderChanges } from './order.ts'
import { createOutput, processTerminal, type Terminal } from './output.ts'
import { registerPlan } from './plan.ts'
import { registerPayment } from './payment.ts'
import { registerQuota } from './quota.ts'
import { registerRebalance } from './rebalance.ts'
import { registerRoll } from './roll.ts'
import { registerRun } from './run.ts'
import { registerSaleChanges } from './sale-change.ts'
import { registerSaleCreate } from './sale-create.ts'
import { registerSaleExport } from './sale-export.ts'
import { registerSaleReads } from './sale-read.ts'
import { registerSaleStock } from './sale-stock.ts'
import { registerStatus } from './status.ts'
import { terminalWidth } from './table.ts'
import { registerTicket } from './ticket.ts'
import { registerToken } from './token.ts'
import { registerUp } from './up.ts'
import { registerVersion } from './version.ts'
import { registerWatch } from './watch.ts'

const COMMANDS: readonly RegisterCommand[] = [
  registerUp,
  registerDown,
  registerStatus,
  registerDoctor,
  registerSaleCreate,
  registerSaleReads,
  registerSaleChanges,
  registerSaleStock,
  registerSaleExport,
  registerNodes,
  registerNode,
  registerRoll,
  registerQuota,
  registerRebalance,
  registerAudit,
  registerOrder,
  registerOrderChanges,
  registerTicket,
  registerWatch,
  registerKey,
  registerPayment,
  registerPlan,
  registerEvents,
  registerLogs,
  registerToken,
  registerConfig,
  registerCompletion,
  registerRun,
  registerLoadBalancer,
  registerVersion,
]

const HELP_WIDTH_MAX = 100

/** The table of commands on a program that runs none of them: for completion and tests. */
export function withCommands(program: Command): Command {
  const output = createOutput(program, processTerminal)
  for (const register of COMMANDS) register(output)
  return program
}

/** Runs one command line (without the program's name) and returns its exit code. */
export async function runCli(argv: readonly string[], terminal: Terminal = processTerminal): Promise<ExitCode> {
  const json = argv.includes('--json')
  const program = new Command('farebox')
    .description('Sells a limited number of tickets exactly once, on a fleet of nodes.')
    .option('--dir <dir>', 'directory of the cluster', process.env['FAREBOX_DIR'] ?? '.farebox')
    .option('--admin <url>', 'admin address of a remote cluster')
    .option('--token-file <file>', 'file with the admin token (default: admin.token in the directory)')
    .option('--json', 'exactly one JSON document on stdout')
  const output = createOutput(program, terminal)
  for (const register of COMMANDS) register(output)
  prepare(program, terminal, json)
  try {
    await program.parseAsync([...argv], { from: 'user' })
    return output.exitCode()
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.done
    if (error instanceof CommanderError && error.code === 'commander.help' && json) {
      output.fail(new CommanderError(EXIT.usage, error.code, 'a command is missing: see --help'), json)
    } else if (json || !(error instanceof CommanderError)) output.fail(error, json)
    return error instanceof CommanderError ? EXIT.usage : output.exitCode()
  }
}

/** For every command: errors are ours to tell, and help shows the options that all share. */
function prepare(command: Command, terminal: Terminal, json: boolean, path: readonly string[] = []): void {
  command
    .exitOverride()
    .configureHelp({ showGlobalOptions: true, helpWidth: Math.min(terminalWidth(), HELP_WIDTH_MAX) })
    .addHelpText('after', examplesText(path.join(' ')))
    .showSuggestionAfterError(true)
    .configureOutput({
      writeOut: (text) => terminal.stdout(text),
      // With --json the one document on stdout tells it.
      writeErr: (text) => (json ? undefined : terminal.stderr(text)),
    })
  for (const child of command.commands) prepare(child, terminal, json, [...path, child.name()])
}
