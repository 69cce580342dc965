import { parseArgs } from 'node:util'

export interface DemoOptions {
  /** A folder of FHIR Bundles or NDJSON to serve in place of the built-in people. */
  readonly data?: string
  /** The id of the patient who shares. */
  readonly patient?: string
  /** Print one line of JSON at the end. */
  readonly json: boolean
}

const usage = `The whole road on a sandbox EHR: connect, collect, share, withdraw.

  npm run demo                                     two built-in hospitals
  npm run demo -- --data FOLDER --patient ID       a folder of FHIR Bundles or NDJSON
  npm run demo -- --json                           one line of JSON at the end`

/** Reads the command line; asks the process to end for --help and for what it does not know. */
export function readArguments(argv: readonly string[]): DemoOptions {
  try {
    const { values } = parseArgs({
      args: [...argv],
      options: {
        data: { type: 'string' },
        patient: { type: 'string' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    })
    if (values.help) {
      process.stdout.write(`${usage}\n`)
      process.exit(0)
    }
    return {
      json: values.json ?? false,
      ...(values.data === undefined ? {} : { data: values.data }),
      ...(values.patient === undefined ? {} : { patient: values.patient }),
    }
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${usage}\n`)
    process.exit(2)
  }
}
