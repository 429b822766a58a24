import com.helger.io.resource.FileSystemResource;
import com.helger.phive.api.execute.ValidationExecutionManager;
import com.helger.phive.api.executorset.ValidationExecutorSetRegistry;
import com.helger.phive.api.validity.IValidityDeterminator;
import com.helger.phive.en16931.EN16931Validation;
import com.helger.phive.xml.source.IValidationSourceXML;
import com.helger.phive.xml.source.ValidationSourceXML;
import java.io.File;
import java.util.Locale;

/** Checks invoices by the schema of UBL and the rules of EN 16931, and says what does not hold. */
public final class Check {
    public static void main(String[] files) {
        var registry = new ValidationExecutorSetRegistry<IValidationSourceXML>();
        EN16931Validation.initEN16931(registry);
        var ofInvoices = registry.getOfID(EN16931Validation.VID_UBL_INVOICE_1314_2);
        var ofCreditNotes = registry.getOfID(EN16931Validation.VID_UBL_CREDIT_NOTE_1314_2);
        boolean good = true;
        for (String file : files) {
            var rules = new File(file).getName().startsWith("credit_note") ? ofCreditNotes : ofInvoices;
            var source = ValidationSourceXML.create(new FileSystemResource(new File(file)));
            var results = ValidationExecutionManager.executeValidation(
                IValidityDeterminator.createDefault(), rules, source, Locale.ENGLISH);
            results.forEachFlattened(it -> System.out.println(file + ": " + it.getAsString(Locale.ENGLISH)));
            good &= results.containsNoError();
        }
        System.out.println(good ? "all hold" : "not all hold");
        System.exit(good ? 0 : 1);
    }
}
