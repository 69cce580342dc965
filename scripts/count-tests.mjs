// Reads a report of tests and prints "passed failed"; a report that is not there counts as one failure.
//   node scripts/count-tests.mjs vitest FILE | tap FILE | --none-skipped FILE
import { readFileSync } from 'node:fs'

const [kind, file] = process.argv.slice(2)
const counters = { vitest, tap, '--none-skipped': noneSkipped }
let text
try {
  text = readFileSync(file, 'utf8')
} catch {
  if (kind !== '--none-skipped') process.stdout.write('0 1\n')
  process.exit(kind === '--none-skipped' ? 1 : 0)
}
counters[kind]()

function vitest() {
  const { numPassedTests, numFailedTests, testResults } = JSON.parse(text)
  // A file that could not be loaded has no tests to count.
  const broken = testResults.filter(
    ({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0,
  )
  process.stdout.write(`${numPassedTests} ${numFailedTests + broken.length}\n`)
}

function tap() {
  const total = (name) => Number(new RegExp(`^# ${name} (\\d+)$`, 'm').exec(text)?.[1] ?? Number.NaN)
  const [passed, failed] = [total('pass'), total('fail')]
  process.stdout.write(Number.isNaN(passed + failed) ? '0 1\n' : `${passed} ${failed}\n`)
}

function noneSkipped() {
  const skipped = JSON.parse(text).testResults.flatMap(({ name, assertionResults }) =>
    assertionResults
      .filter(({ status }) => status !== 'passed' && status !== 'failed')
      .map(({ fullName, status }) => `${status}: ${name}: ${fullName}`),
  )
  for (const line of skipped) process.stderr.write(`${line}\n`)
  // A container may not be let mount a small disk; a disk that is full by quota and by ulimit is tested everywhere.
  const unexcused = skipped.filter((line) => !line.includes('(skipped where this user cannot mount)'))
  process.exitCode = unexcused.length === 0 ? 0 : 1
}
