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
const icd9 = 'http://hl7.org/fhir/sid/icd-9-cm'
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
          [icd10]: [
            'F0',
            'F2',
            'F3',
            'F4',
            'F5',
            'F6',
            'F7',
            'F8',
            'F9',
            'R45',
            'T14.91',
            'Z13.3',
            'Z91.5',
            'Z86.5',
            'Z81.8',
          ],
          [icd9]: ['29', '300', '301', '302', '306', '307', '308', '309', '31', 'V11', 'V62.84', 'E95'],
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
          /\b(psych(?!(?:ogenic cough))\w*|mental\w*|schizo\w*|bipolar|manic|mania|depress(?:ion|ive|ed)\b|dysthymi\w*|cyclothymi\w*|mood|anxi(?:ety|ous)|panic|phobi[ac]\w*|obsessive|compulsive|suicid\w*|self[- ]?harm|self[- ]inflicted|post[- ]?traumatic stress|stress disorder|adjustment disorder|PTSD|OCD|ADHD|attention deficit|autis\w*|asperger\w*|personality disorder|dissociative|conversion disorder|somatoform|eating disorder|anorexia nervosa|bulimia\w*|delusion\w*|hallucinat\w*|dementia|delirium|PHQ-?[29]|GAD-?7|antidepress\w*|antipsychotic\w*|(?:fluox|parox|duloxe|vor?tiox)etine|sertraline|citalopram|escitalopram|venlafaxine|desvenlafaxine|bupropion|mirtazapine|trazodone|amitriptyline|nortriptyline|lithium|lamotrigine|valproate|divalproex|quetiapine|olanzapine|risperidone|aripiprazole|ziprasidone|clozapine|haloperidol|lurasidone|paliperidone|buspirone|lorazepam|alprazolam|clonazepam|diazepam|methylphenidate|dexmethylphenidate|amphetamine|lisdexamfetamine|atomoxetine|donepezil|memantine)\b/i,
        source: 'ICD-10-CM chapter 5 without F10-F19; HL7 ActCode PSY, MH',
        seen: '2026-11',
      },
      {
        id: 'substance-use',
        says: 'Alcohol and drugs',
        labels: ['ETH', 'ETHUD', 'OPIOIDUD', 'SUD', 'BH'],
        codes: {
          [icd9]: [
            '291',
            '292',
            '303',
            '304',
            '305',
            'V65.42',
            '571.0',
            '571.1',
            '571.2',
            '571.3',
            '965.0',
            '969.7',
            '970.8',
          ],
          [icd10]: ['F10', 'F11', 'F12', 'F13', 'F14', 'F15', 'F16', 'F18', 'F19', 'Z71.4', 'Z71.5', 'K70'],
          [snomed]: whole('66214007', '7200002', '15167005', '75544000', '55680006'),
          [loinc]: whole('75626-2', '82667-7', '72109-2'),
          [rxnorm]: whole('6813', '1819', '7243', '3554'),
        },
        words:
          /\b(alcohol\w*|opioid (?:use|abuse|dependence|addiction|withdrawal|overdose)\w*|(?:drug|substance|cannabis|marijuana|cocaine|amphetamine|stimulant|sedative|hypnotic|hallucinogen|inhalant|solvent|opioid|opiate)[\w ,-]{0,20}(?:use|abuse|misuse|depend\w*|addict\w*|intoxicat\w*|withdrawal|overdose|poisoning|screen\w*)|addict\w*|detox\w*|heroin|fentanyl poisoning|cocaine|methamphetamine|methadone|buprenorphine|naltrexone|naloxone|disulfiram|acamprosate|lofexidine|AUDIT-?C|DAST-?10)\b/i,
        source: 'ICD-10-CM F10-F19 without F17; 42 CFR Part 2; HL7 ActCode ETH',
        seen: '2026-11',
      },
      {
        id: 'hiv',
        says: 'HIV and AIDS',
        labels: ['HIV'],
        codes: {
          [icd9]: ['042', 'V08', '795.71', '079.53', 'V01.79'],
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
          /\b(HIV\w*|human immunodeficiency|acquired immun\w+ deficiency|antiretroviral\w*|tenofovir|emtricitabine|dolutegravir|bictegravir|raltegravir|elvitegravir|zidovudine|lamivudine|efavirenz|rilpivirine|doravirine|etravirine|nevirapine|abacavir|cabotegravir|lenacapavir|darunavir|atazanavir|lopinavir|ritonavir|cobicistat|maraviroc|truvada|descovy|biktarvy|CD4)\b|(?<!(?:hearing|walking|visual|mobility|first|teaching|decision) )\bAIDS\b(?! (?:in|with|to))/i,
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
          [icd9]: [
            '09',
            '054.1',
            '099',
            '63',
            '64',
            '65',
            '66',
            '67',
            '606',
            '607.84',
            '628',
            'V22',
            'V23',
            'V24',
            'V25',
            'V26',
            'V27',
            'V28',
            'V72.4',
            'V74.5',
          ],
          [snomed]: whole('8098009', '76272004', '15628003', '77386006', '72892002', '19169002', '156073000'),
          [loinc]: whole('20507-0', '43304-5', '43305-2', '21613-5', '82810-3', '2118-8', '21198-7'),
        },
        words:
          /\b(sexual\w*|venereal|STD|STI|syphilis|gonorrh\w+|chlamydia\w*|trichomon\w+|genital (?:herpes|wart\w*)|human papilloma\w*|HPV|pregnan\w+|gestation\w*|gravid\w*|obstetric\w*|deliver(?:y|ed) of|labor and delivery|puerper\w*|postpartum|lactat(?:ion|ing)|cesarean|preeclampsia|contracepti\w+|abort\w+|miscarriage|infertil\w+|in vitro fertili\w+|antenatal|prenatal|fetal|fetus|erectile|vasectom\w*|tubal ligation|sterili[sz]ation|hysterectom\w*|intrauterine device|levonorgestrel|etonogestrel|norethindrone|ethinyl estradiol|medroxyprogesterone|mifepristone|misoprostol|clomiphene|sildenafil|tadalafil|hCG)\b/i,
        source: 'ICD-10-CM A50-A64, chapter 15, Z30-Z39; HL7 ActCode SEX, STD',
        seen: '2026-11',
      },
      {
        id: 'violence',
        says: 'Violence and abuse',
        labels: ['SDV', 'DVD', 'VIO'],
        codes: {
          [icd10]: ['T74', 'T76', 'Y07', 'Z69', 'Z62.81', 'Z91.41'],
          [icd9]: ['995.5', '995.8', 'E967', 'E968', 'E960.1', 'V61.1', 'V61.2', 'V15.41', 'V15.42'],
          [snomed]: whole('706893006', '371775004'),
          [loinc]: whole('76499-3', '76504-0'),
        },
        words:
          /\b(domestic (?:violence|abuse)|intimate partner|(?:sexual|physical|emotional|psychological|verbal|child|elder|adult|spouse|partner)[\w -]{0,15}(?:abuse\w*|assault\w*|neglect|violence|maltreatment)|victim of|batter(?:ed|ing)|rape\w*|assault\w*|maltreat\w*|neglect of child|molest\w*|strangulat\w*|human trafficking|HARK)\b/i,
        source: 'ICD-10-CM T74, T76, Y07; HL7 ActCode SDV',
        seen: '2026-11',
      },
      {
        id: 'gender',
        says: 'Gender identity and sexual orientation',
        labels: ['GENDER', 'SEXUALITY'],
        codes: {
          [icd10]: ['F64', 'Z87.890'],
          [icd9]: ['302.5', '302.6', '302.85'],
          [snomed]: whole('93461009', '407377005', '407376001', '38628009', '76102007', '42035005'),
          [loinc]: whole('76691-5', '76690-7'),
        },
        words:
          /\b(gender[- ]?(?:identit\w*|dysphoria|incongruence|reassign\w*|affirm\w*|non[- ]?conform\w*|queer)|genderIdentity|identifies as|non[- ]?binary|transgender\w*|transsexual\w*|trans (?:man|woman)|sexual[- ]orientation|sexualOrientation|homosexual\w*|bisexual\w*|lesbian|gay)\b/i,
        source: 'ICD-10-CM F64; USCDI gender identity and sexual orientation',
        seen: '2026-11',
      },
      {
        id: 'genetic',
        says: 'Genetic tests',
        labels: ['GDIS'],
        codes: {
          [icd10]: ['Z13.7', 'Z14', 'Z15', 'Z31.43', 'Z31.5'],
          [icd9]: ['V82.7', 'V83', 'V84', 'V26.3'],
          [snomed]: whole('405824009', '405825005'),
          [loinc]: whole('81247-9', '51969-4', '48018-6', '69548-6', '51958-7', '53037-8'),
        },
        words:
          /\b(genetic\w*|hereditary|genom\w+|genotyp\w*|BRCA[12]?|gene (?:mutation|variant|test|panel)\w*|mutation\w*|carrier of|karyotyp\w*|chromosom\w*|exome|microarray analysis)\b/i,
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
  if (typeof system === 'string' && labelSystem.test(system) && labels.includes(code)) return true
  return Object.entries(codes).some(
    ([known, begins]) =>
      sameSystem(known, system, code) &&
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
  [icd9]: [
    'http://hl7.org/fhir/sid/icd-9',
    'urn:oid:2.16.840.1.113883.6.103',
    'urn:oid:2.16.840.1.113883.6.42',
  ],
  [snomed]: ['urn:oid:2.16.840.1.113883.6.96'],
  [loinc]: ['urn:oid:2.16.840.1.113883.6.1'],
  [rxnorm]: ['urn:oid:2.16.840.1.113883.6.88'],
}

const labelSystem = /ActCode|sensitivity|2\.16\.840\.1\.113883\.5\.4$/i

// A code of which nobody says the system may be what it looks like.
function sameSystem(known: string, system: unknown, code: string): boolean {
  if (typeof system !== 'string' || system.trim() === '')
    return (known === icd10 && /^[A-Z]\d\d/.test(code)) || (known === snomed && /^\d{6,}$/.test(code))
  const plain = system.trim().replace(/\/$/, '')
  return plain === known || (also[known]?.includes(plain) ?? false)
}
