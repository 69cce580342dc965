/** The issue types of FHIR that this server uses. */
export type IssueCode =
  | 'invalid'
  | 'structure'
  | 'required'
  | 'value'
  | 'login'
  | 'forbidden'
  | 'not-supported'
  | 'not-found'
  | 'deleted'
  | 'too-costly'
  | 'too-long'
  | 'expired'
  | 'exception'
  | 'incomplete'
  | 'informational'

/** What is wrong, or worth knowing. */
export interface Issue {
  readonly severity: 'error' | 'warning' | 'information'
  readonly code: IssueCode
  readonly diagnostics: string
}

/** A request that ends with an error status and an OperationOutcome. */
export class FhirProblem extends Error {
  readonly status: number
  readonly issues: readonly Issue[]
  readonly headers: Readonly<Record<string, string>>

  constructor(
    status: number,
    code: IssueCode,
    diagnostics: string,
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(diagnostics)
    this.name = 'FhirProblem'
    this.status = status
    this.issues = [{ severity: 'error', code, diagnostics }]
    this.headers = headers
  }
}

/**
 * The JSON of an OperationOutcome.
 *
 * @see https://hl7.org/fhir/R4/operationoutcome.html
 */
export function outcomeText(issues: readonly Issue[]): string {
  return JSON.stringify({ resourceType: 'OperationOutcome', issue: issues })
}

/** A piece of a request as an error message may repeat it: short, and without line breaks. */
export function quoted(text: string): string {
  const plain = text.replace(/\p{C}+/gu, ' ')
  return `"${plain.length > 80 ? `${plain.slice(0, 80)}…` : plain}"`
}
