import java.io.FileInputStream;
import org.verapdf.gf.foundry.VeraGreenfieldFoundryProvider;
import org.verapdf.pdfa.Foundries;
import org.verapdf.pdfa.PDFAParser;
import org.verapdf.pdfa.PDFAValidator;
import org.verapdf.pdfa.results.TestAssertion;
import org.verapdf.pdfa.results.ValidationResult;

/** Prints for each file whether it is what PDF/A it claims to be, and why not. */
class Validate {
    public static void main(String[] files) throws Exception {
        VeraGreenfieldFoundryProvider.initialise();
        for (String file : files) {
            try (FileInputStream in = new FileInputStream(file); PDFAParser parser = Foundries.defaultInstance().createParser(in)) {
                PDFAValidator validator = Foundries.defaultInstance().createValidator(parser.getFlavour(), false);
                ValidationResult result = validator.validate(parser);
                System.out.println((result.isCompliant() ? "PASS " : "FAIL ") + parser.getFlavour() + " " + file);
                for (TestAssertion a : result.getTestAssertions()) {
                    if (a.getStatus() == TestAssertion.Status.FAILED) {
                        System.out.println("  " + a.getRuleId().getClause() + " test " + a.getRuleId().getTestNumber() + ": " + a.getMessage() + " " + a.getLocation().getContext());
                    }
                }
            }
        }
    }
}
