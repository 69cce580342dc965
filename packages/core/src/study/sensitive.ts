import { isObject } from '../util/json.js'

/** A kind of information that many participants would rather not share, and how it is found in a resource. */
export interface SensitiveCategory {
  readonly id: string
  /** What it is, in words for the participant. */
  readonly says: string
  /** Security labels that say it. @see https://terminology.hl7.org/ValueSet-v3-InformationSensitivityPolicy.html */
  readonly labels: readonly string[]
  /** Code systems, and the beginnings of the codes in them; a code that ends in `$` is meant whole. */
  readonly codes: Readonly<Record<string, readonly string[]>>
  /** Found in any text of a resource: names of conditions, tests and medications. */
  readonly words: RegExp
  /** Where the codes come from, and when they were last looked at. */
  readonly source: string
  readonly seen: string
}

const icd10 = 'http://hl7.org/fhir/sid/icd-10-cm'
const snomed = 'http://snomed.info/sct'
const loinc = 'http://loinc.org'
const rxnorm = 'http://www.nlm.nih.gov/research/umls/rxnorm'
const whole = (...codes: string[]): string[] => codes.map((code) => `${code}$`)

/**
 * The categories that a participant can withhold. They are found by code, by security label and by word, and rather
 * once too often than not: who withholds one expects that nothing of it is sent. What a doctor wrote around it
 * without any of these words cannot be found; files, which cannot be looked into, are withheld with each of them.
 *
 * @see https://terminology.hl7.org/ValueSet-v3-InformationSensitivityPolicy.html
 */
export const sensitiveCategories: readonly SensitiveCategory[] = /* @__PURE__ */ rows()

// A function, so that an app which shares nothing does not carry it.
function rows(): readonly SensitiveCategory[] {
  return Object.freeze(
    [
      {
        id: 'mental-health',
        says: 'Mental health',
        labels: ['PSY', 'MH', 'PSYTHPN', 'BH'],
        codes: {
          [icd10]: ['F0', 'F2', 'F3', 'F4', 'F5', 'F6', 'F9', 'R45.85', 'T14.91', 'Z91.5'],
          [snomed]: whole(
            ...[
              '74732009',
              '35489007',
              '370143000',
              '197480006',
              '13746004',
              '58214004',
              '47505003',
              '6471006',
            ],
          ),
          [loinc]: whole('44249-1', '44261-6', '69737-5', '70274-6', '55758-7', '89204-2'),
        },
        words:
          /\b(psych(?:o(?!genic cough)|iatr)\w*|schizo\w*|bipolar|depressi(?:on|ve)|anxiety|suicid\w*|self[- ]harm|post[- ]?traumatic stress|PTSD|PHQ-?[29]|GAD-?7|antidepressant|anorexia nervosa|bulimia)\b/i,
        source: 'ICD-10-CM chapter 5 without F10-F19; HL7 ActCode PSY, MH',
        seen: '2026-11',
      },
      {
        id: 'substance-use',
        says: 'Alcohol and drugs',
        labels: ['ETH', 'ETHUD', 'OPIOIDUD', 'SUD', 'BH'],
        codes: {
          [icd10]: ['F10', 'F11', 'F12', 'F13', 'F14', 'F15', 'F16', 'F18', 'F19', 'Z71.4', 'Z71.5', 'K70'],
          [snomed]: whole('66214007', '7200002', '15167005', '75544000', '55680006'),
          [loinc]: whole('75626-2', '82667-7', '72109-2'),
          [rxnorm]: whole('6813', '1819', '7243', '3554'),
        },
        words:
          /\b(alcohol\w*|opioid (?:use|abuse|dependence)\w*|drug (?:abuse|dependence|overdose)|substance (?:use|abuse)|heroin|cocaine|methamphetamine|methadone|buprenorphine|naltrexone|disulfiram|AUDIT-C|DAST-10)\b/i,
        source: 'ICD-10-CM F10-F19 without F17; 42 CFR Part 2; HL7 ActCode ETH',
        seen: '2026-11',
      },
      {
        id: 'hiv',
        says: 'HIV and AIDS',
        labels: ['HIV'],
        codes: {
          [icd10]: ['B20', 'B97.35', 'Z21', 'R75', 'O98.7', 'Z11.4', 'Z20.6', 'Z71.7'],
          [snomed]: whole('86406008', '62479008', '165816005'),
          [loinc]: whole(
            '7917-8',
            '56888-1',
            '75622-1',
            '20447-9',
            '25836-8',
            '5221-7',
            '24013-5',
            '68961-2',
          ),
        },
        words:
          /\b(HIV\w*|human immunodeficiency|acquired immun\w+ deficiency|antiretroviral\w*|tenofovir|emtricitabine|dolutegravir|bictegravir|zidovudine|lamivudine|efavirenz|abacavir|cabotegravir)\b|\bAIDS-/i,
        source: 'ICD-10-CM B20, Z21, R75; HL7 ActCode HIV',
        seen: '2026-11',
      },
      {
        id: 'sexual-health',
        says: 'Sexual and reproductive health',
        labels: ['SEX', 'STD', 'SEXUALITY', 'PREGNANT', 'REPRO'],
        codes: {
          [icd10]: [
            ...['A50', 'A51', 'A52', 'A53', 'A54', 'A55', 'A56', 'A57', 'A58', 'A59', 'A60', 'A63', 'A64'],
            ...['O', 'N46', 'N52', 'N97', 'Z3', 'Z11.3', 'Z20.2', 'Z72.5'],
          ],
          [snomed]: whole('8098009', '76272004', '15628003', '77386006', '72892002', '19169002', '156073000'),
          [loinc]: whole('20507-0', '43304-5', '43305-2', '21613-5', '82810-3', '2118-8', '21198-7'),
        },
        words:
          /\b(sexual\w*|syphilis|gonorrh\w+|chlamydia\w*|trichomon\w+|genital herpes|pregnan\w+|contracepti\w+|abortion|miscarriage|infertil\w+|antenatal|prenatal|erectile|intrauterine device|levonorgestrel|mifepristone)\b/i,
        source: 'ICD-10-CM A50-A64, chapter 15, Z30-Z39; HL7 ActCode SEX, STD',
        seen: '2026-11',
      },
      {
        id: 'violence',
        says: 'Violence and abuse',
        labels: ['SDV', 'DVD', 'VIO'],
        codes: {
          [icd10]: ['T74', 'T76', 'Y07', 'Z69', 'Z62.81', 'Z91.41'],
          [snomed]: whole('706893006', '371775004'),
          [loinc]: whole('76499-3', '76504-0'),
        },
        words:
          /\b(domestic (?:violence|abuse)|intimate partner|(?:sexual|physical|emotional|child|spouse) (?:abuse|assault)|rape\w*|assault\w*|maltreatment|HARK)\b/i,
        source: 'ICD-10-CM T74, T76, Y07; HL7 ActCode SDV',
        seen: '2026-11',
      },
      {
        id: 'gender',
        says: 'Gender identity and sexual orientation',
        labels: ['GENDER', 'SEXUALITY'],
        codes: {
          [icd10]: ['F64', 'Z87.890'],
          [snomed]: whole('93461009', '407377005', '407376001', '38628009', '76102007', '42035005'),
          [loinc]: whole('76691-5', '76690-7'),
        },
        words:
          /\b(gender (?:identity|dysphoria|incongruence)|transgender\w*|transsexual\w*|sexual orientation)\b/i,
        source: 'ICD-10-CM F64; USCDI gender identity and sexual orientation',
        seen: '2026-11',
      },
      {
        id: 'genetic',
        says: 'Genetic tests',
        labels: ['GDIS'],
        codes: {
          [icd10]: ['Z13.7', 'Z14', 'Z15', 'Z31.43', 'Z31.5'],
          [snomed]: whole('405824009', '405825005'),
          [loinc]: whole('81247-9', '51969-4', '48018-6', '69548-6', '51958-7', '53037-8'),
        },
        words:
          /\b(genetic (?:test|counsel|screen|analysis|variant|carrier)\w*|genom\w+|BRCA[12]|gene mutation|karyotype|exome)\b/i,
        source: 'ICD-10-CM Z13.7, Z14, Z15; HL7 ActCode GDIS; LOINC genomics panels',
        seen: '2026-11',
      },
    ].map((row) => Object.freeze(row)),
  )
}

/** Says of a resource, given as its JSON text and parsed, whether anything in it is of one of the categories. */
export function sensitivityOf(
  categories: readonly SensitiveCategory[],
): (text: string, resource: unknown) => boolean {
  if (categories.length === 0) return () => false
  const named = (text: string): boolean => categories.some(({ words }) => words.test(text))
  const coded = (value: unknown): boolean => {
    if (Array.isArray(value)) return value.some(coded)
    if (!isObject(value)) return false
    if (typeof value.code === 'string' && categories.some((row) => hasCode(row, value))) return true
    return Object.values(value).some((one) => typeof one === 'object' && coded(one))
  }
  const spoken = (value: unknown): boolean => {
    if (typeof value === 'string') return named(value)
    return typeof value === 'object' && value !== null && Object.values(value).some(spoken)
  }
  return (text, resource) => named(text) || coded(resource) || (text.includes('\\') && spoken(resource))
}

function hasCode({ codes, labels }: SensitiveCategory, coding: Record<string, unknown>): boolean {
  const { system } = coding
  const code = (coding.code as string).trim().toUpperCase()
  if (typeof system === 'string' && /ActCode|sensitivity/i.test(system) && labels.includes(code)) return true
  return Object.entries(codes).some(
    ([known, begins]) =>
      sameSystem(known, system) &&
      begins.some((one) => (one.endsWith('$') ? code === one.slice(0, -1) : code.startsWith(one))),
  )
}

// Servers write a system with or without its last slash, as an OID, and ICD-10 with and without its American end.
const also: Readonly<Record<string, readonly string[]>> = {
  [icd10]: [
    'http://hl7.org/fhir/sid/icd-10',
    'urn:oid:2.16.840.1.113883.6.90',
    'urn:oid:2.16.840.1.113883.6.3',
  ],
  [snomed]: ['urn:oid:2.16.840.1.113883.6.96'],
  [loinc]: ['urn:oid:2.16.840.1.113883.6.1'],
  [rxnorm]: ['urn:oid:2.16.840.1.113883.6.88'],
}

function sameSystem(known: string, system: unknown): boolean {
  if (typeof system !== 'string') return false
  const plain = system.trim().replace(/\/$/, '')
  return plain === known || (also[known]?.includes(plain) ?? false)
}
