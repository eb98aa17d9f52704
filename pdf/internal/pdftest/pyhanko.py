"""Judges signed PDF files: one request a line on stdin, one answer a line on
stdout, both JSON. A request has "file", "roots" (DER in base64) and "password"."""

import asyncio
import base64
import json
import logging
import sys

from asn1crypto import x509
from pyhanko.pdf_utils.crypt import AuthStatus
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import ades, async_validate_pdf_signature, async_validate_pdf_timestamp
from pyhanko.sign.validation.dss import DocumentSecurityStore
from pyhanko.sign.validation.errors import NoDSSFoundError
from pyhanko.sign.validation.policy_decl import (
    PdfSignatureValidationSpec,
    RevinfoOnlineFetchingRule,
    RevocationInfoGatheringSpec,
    SignatureValidationSpec,
)
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.context import CertValidationPolicySpec
from pyhanko_certvalidator.policy_decl import NO_REVOCATION, REQUIRE_REVINFO, CertRevTrustPolicy
from pyhanko_certvalidator.registry import SimpleTrustManager


def validation_spec(roots, revocation):
    policy = CertValidationPolicySpec(
        trust_manager=SimpleTrustManager.build(trust_roots=roots),
        revinfo_policy=CertRevTrustPolicy(revocation),
    )
    return PdfSignatureValidationSpec(SignatureValidationSpec(
        cert_validation_policy=policy,
        revinfo_gathering_policy=RevocationInfoGatheringSpec(
            online_fetching_rule=RevinfoOnlineFetchingRule.LOCAL_ONLY),
    ))


async def ades_indication(sig, roots, with_evidence, with_timestamp):
    """ETSI EN 319 102-1, Section 5.6.3, 5.5 without evidence or 5.3 without
    a signature time-stamp, with the evidence in the file alone."""
    spec = validation_spec(roots, REQUIRE_REVINFO if with_evidence else NO_REVOCATION)
    if with_evidence:
        result = await ades.ades_lta_validation(sig, spec)
    elif with_timestamp:
        result = await ades.ades_with_time_validation(
            sig.signed_data, spec.signature_validation_spec, raw_digest=sig.compute_digest())
    else:
        result = await ades.ades_basic_validation(
            sig.signed_data, spec.signature_validation_spec, raw_digest=sig.compute_digest())
    if result.ades_subindic.name == 'OK':
        return 'OK', ''
    return result.ades_subindic.name, result.failure_msg or ''


async def judge_signature(reader, sig, roots):
    out = {'field': sig.field_name, 'type': str(sig.sig_object_type or '')[1:]}
    try:
        dss = DocumentSecurityStore.read_dss(reader)
        context = dss.as_validation_context({'trust_roots': roots, 'allow_fetching': False})
    except NoDSSFoundError:
        dss = None
        context = ValidationContext(trust_roots=roots, allow_fetching=False)
    try:
        if out['type'] == 'DocTimeStamp':
            status = await async_validate_pdf_timestamp(sig, context)
        else:
            status = await async_validate_pdf_signature(sig, context, context)
            stamp = status.timestamp_validity
            if stamp is not None:
                out['timestamp'] = bool(stamp.valid and stamp.intact and stamp.trusted)
            out['docmdp_ok'] = status.docmdp_ok
            out['seed_value_ok'] = status.seed_value_ok
            out['bottom_line'] = status.bottom_line
        out['valid'], out['intact'], out['trusted'] = status.valid, status.intact, status.trusted
        out['coverage'] = status.coverage.name
        level = status.modification_level
        out['modification'] = level.name if level is not None else ''
        if status.diff_result is not None and out['modification'] == 'OTHER':
            out['detail'] = str(status.diff_result)
        if out['type'] == 'DocTimeStamp':
            out['bottom_line'] = bool(status.valid and status.intact and status.trusted and level is not None and level.name != 'OTHER')
    except Exception as e:
        out['bottom_line'], out['error'] = False, f'{type(e).__name__}: {e}'
    if out['type'] != 'DocTimeStamp':
        try:
            out['ades'], out['ades_detail'] = await ades_indication(sig, roots, dss is not None, 'timestamp' in out)
        except Exception as e:
            out['ades'], out['ades_detail'] = 'ERROR', f'{type(e).__name__}: {e}'
    return out


def judge(request):
    roots = [x509.Certificate.load(base64.b64decode(r)) for r in request['roots']]
    out = {'strict': True, 'signatures': []}
    with open(request['file'], 'rb') as f:
        for strict in (True, False):
            try:
                out['strict'], out['error'], out['signatures'] = strict, '', []
                reader = PdfFileReader(f, strict=strict)
                if reader.encrypted and reader.decrypt(request.get('password', '')).status == AuthStatus.FAILED:
                    raise ValueError('cannot decrypt')
                for sig in reader.embedded_signatures:
                    out['signatures'].append(asyncio.run(judge_signature(reader, sig, roots)))
                # Strictly, pyHanko judges no hybrid file at all.
                if not (strict and any('hybrid-reference' in s.get('error', '') for s in out['signatures'])):
                    return out
            except Exception as e:
                out['error'] = f'{type(e).__name__}: {e}'
    return out


logging.disable(logging.CRITICAL)
for line in sys.stdin:
    try:
        answer = judge(json.loads(line))
    except RecursionError as e:
        answer = {'error': f'RecursionError: {e}', 'signatures': []}
    print(json.dumps(answer), flush=True)
